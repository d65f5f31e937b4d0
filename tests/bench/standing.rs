//! What a fleet costs that has nothing to do, and how soon `flota up` gives its first outcome.

use std::{
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use procfs::process::all_processes;
use tokio::runtime::Runtime;

use crate::{
    Options,
    fleet::{FleetClient, flota, free_port},
    images,
    measure::{Figure, cpu_seconds},
    models::project_dir,
};

const MODEL: &str = "image-quality";
/// Before idling is measured, what was started has acknowledged.
const SETTLING: Duration = Duration::from_secs(3);

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let (mut first, mut idle) = (Vec::new(), Vec::new());
    let ready = ready_ms(runtime, options)?;
    for round in 0..options.rounds {
        let (data, port) = (tempfile::tempdir()?, free_port()?);
        let client = FleetClient::new(port)?;
        let picture = images::draw(1, u32::try_from(round)?)?;
        let began = Instant::now();
        let mut up = Up(flota(data.path(), port)
            .args(["up", "--models", MODEL])
            .current_dir(project_dir())
            .stdin(Stdio::null())
            .spawn()
            .context("starting flota up")?);
        runtime.block_on(async {
            client.ready(MODEL).await?;
            let addresses = client.upload(picture).await?;
            client.run(&addresses, &[MODEL]).await
        })?;
        first.push(began.elapsed().as_secs_f64() * 1_000.0);
        if round == 0 {
            thread::sleep(SETTLING);
            let fleet = up.processes()?;
            let before = total(&fleet)?;
            thread::sleep(Duration::from_secs(options.idle_seconds));
            idle.push(100.0 * (total(&fleet)? - before) / options.idle_seconds as f64);
        }
        up.stop()?;
    }
    Ok(vec![
        Figure::new("idle fleet: up, server and one worker", "% of a core", "< 1", &idle),
        Figure::new("from `up` to the first outcome", "ms", "", &first),
        Figure::new("from the start of a worker until it is ready", "ms", "< 400", &ready),
    ])
}

/// How long a worker takes from its start to its first poll, without calibration.
fn ready_ms(runtime: &Runtime, options: &Options) -> Result<Vec<f64>> {
    let (data, http) = (tempfile::tempdir()?, reqwest::Client::builder().no_proxy().build()?);
    let mut all = Vec::new();
    for _ in 0..options.rounds {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let mut command = flota(data.path(), free_port()?);
        command.env("FLOTA__WORKER__LISTEN", &listen).env("FLOTA__ENGINE__AUTOTUNE_MS", "0");
        // A poll of an empty queue ends when its wait is over.
        command.env("FLOTA__QUEUE__POLL_WAIT_MS", "10");
        if let Some(library) = &options.library {
            command.env("FLOTA__ENGINE__LIBRARY", library);
        }
        command.arg("worker").arg(project_dir().join("workers").join(MODEL));
        let began = Instant::now();
        let mut worker = Up(command.spawn().context("starting a worker")?);
        let url = format!("http://{listen}/readyz");
        runtime.block_on(async {
            while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        all.push(began.elapsed().as_secs_f64() * 1_000.0);
        worker.stop()?;
    }
    Ok(all)
}

/// A process, such as `flota up`; it takes its children along when it is told to stop, or dropped.
struct Up(Child);

impl Up {
    fn processes(&self) -> Result<Vec<u32>> {
        let mut family = vec![self.0.id()];
        for process in all_processes()?.flatten() {
            let Ok(stat) = process.stat() else { continue };
            if u32::try_from(stat.ppid).is_ok_and(|parent| parent == self.0.id()) {
                family.push(u32::try_from(stat.pid)?);
            }
        }
        Ok(family)
    }

    fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.stop();
        }
    }
}

fn total(processes: &[u32]) -> Result<f64> {
    processes.iter().map(|process| cpu_seconds(*process)).sum()
}
