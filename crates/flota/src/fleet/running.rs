use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use flota_core::ModelName;
use flota_platform::SystemClock;
use reqwest::Url;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Plan, Stop,
    child::{Child, ChildSpec, describe},
    keeper::{Ended, Keeper},
    plan::{log_file, set},
};
use crate::{client::Client, print::note};

/// What `flota serve` writes before its address once it listens.
pub(crate) const LISTENING: &str = "listening on ";
/// Ends of children that wait to be looked at; more than there are children is never needed at once.
const ENDS_IN_HAND: usize = 64;
/// A worker that ended so often in a row without ever being ready will not get ready.
const MAX_FAILED_STARTS: u32 = 5;
/// How often the fleet is asked whether its workers are ready: a start takes a second or so.
const READY_POLL: Duration = Duration::from_millis(100);
/// What a child may take beyond its own bound on draining before it is killed.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// A running fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Where its API is.
    pub address: SocketAddr,
    keepers: JoinSet<()>,
    ends: mpsc::Receiver<Ended>,
    stop: Stop,
    logs: Option<PathBuf>,
}

impl Fleet {
    /// Starts the server, then the workers, and returns when each of them is ready.
    ///
    /// # Errors
    /// If a child refuses to run or cannot get ready; then none is left running.
    pub async fn start(plan: Plan, stop: &Stop) -> anyhow::Result<Self> {
        let stop = stop.child();
        let (ends_in, ends) = mpsc::channel(ENDS_IN_HAND);
        let mut spec = plan.server()?;
        let (child, address) = start_server(&spec, &stop, plan.drain).await?;
        // Started again, the server is where its clients know it to be.
        spec.args.extend(set("server.listen", &address.to_string()));
        let logs = plan.logs.clone();
        let mut fleet = Self { address, keepers: JoinSet::new(), ends, stop, logs };
        fleet.keep(spec, child, &plan, ends_in.clone());
        match fleet.start_workers(&plan, &ends_in).await {
            Ok(()) => Ok(fleet),
            Err(error) => {
                fleet.stop().await;
                Err(error)
            }
        }
    }

    /// The address as clients write it.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket address makes a URL")
    }

    /// The next end of a child that nobody asked for.
    pub async fn next_end(&mut self) -> Ended {
        match self.ends.recv().await {
            Some(ended) => ended,
            // Every keeper is gone, so that nothing will end any more.
            None => std::future::pending().await,
        }
    }

    /// Stops every child and returns when they have ended.
    pub async fn stop(mut self) {
        self.stop.orderly.cancel();
        while self.keepers.join_next().await.is_some() {}
    }

    /// The last lines of a child's log file, to be shown when it ended; empty where there is none.
    pub fn last_words(&self, child: &str) -> String {
        self.logs.as_deref().map(|logs| last_words(&log_file(logs, child))).unwrap_or_default()
    }

    async fn start_workers(
        &mut self,
        plan: &Plan,
        ends: &mpsc::Sender<Ended>,
    ) -> anyhow::Result<()> {
        for worker in &plan.workers {
            let spec = plan.worker(worker)?;
            let child = Child::start(&spec)?;
            self.keep(spec, child, plan, ends.clone());
        }
        let models = plan.workers.iter().flat_map(|worker| &worker.models);
        let names: Vec<_> = models.map(|model| &model.manifest.name).collect();
        self.ready(&names).await
    }

    fn keep(&mut self, spec: ChildSpec, child: Child, plan: &Plan, ends: mpsc::Sender<Ended>) {
        let stop_bound = plan.drain.saturating_add(STOP_MARGIN);
        let data_dir = plan.data_dir.clone();
        let keeper = Keeper { spec, stop_bound, ends, data_dir, clock: Arc::new(SystemClock) };
        self.keepers.spawn(keeper.run(child, self.stop.clone()));
    }

    async fn ready(&mut self, names: &[&ModelName]) -> anyhow::Result<()> {
        let client = Client::new(self.url());
        let all_alive = async {
            loop {
                // An error only means "not yet": the ends tell when the server is not there.
                let models = client.models().await.unwrap_or_default();
                let is_alive = |name: &&ModelName| {
                    models.iter().any(|model| model.name == **name && model.workers_alive > 0)
                };
                if names.iter().all(is_alive) {
                    return;
                }
                tokio::time::sleep(READY_POLL).await;
            }
        };
        tokio::pin!(all_alive);
        loop {
            tokio::select! {
                () = &mut all_alive => return Ok(()),
                () = self.stop.orderly.cancelled() => bail!("interrupted"),
                Some(ended) = self.ends.recv() => {
                    let is_hopeless = match ended.is_not_now() {
                        true => false,
                        false => ended.is_explained() || ended.in_a_row >= MAX_FAILED_STARTS,
                    };
                    let words = self.last_words(&ended.name);
                    if is_hopeless {
                        bail!("`{}` does not start ({}){words}", ended.name, ended.how());
                    }
                    if let Some(sentence) = ended.tried_again() {
                        note(sentence);
                    }
                }
            }
        }
    }
}

/// The first start of the server: its line on standard output tells where it listens.
async fn start_server(
    spec: &ChildSpec,
    stop: &Stop,
    drain: Duration,
) -> anyhow::Result<(Child, SocketAddr)> {
    let mut child = Child::start(spec)?;
    let stdout = child.take_stdout().expect("standard output is piped");
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::select! {
        line = lines.next_line() => line.context("cannot read what the server says")?,
        () = stop.orderly.cancelled() => {
            child.stop(drain, &stop.now).await;
            bail!("interrupted");
        }
    };
    let Some(line) = line else {
        let status = child.ended().await.context("cannot wait for the server")?;
        let words = spec.log_file.as_deref().map(last_words).unwrap_or_default();
        bail!("the server did not start ({}){words}", describe(status));
    };
    let address = line.strip_prefix(LISTENING).and_then(|url| url.strip_prefix("http://"));
    match address.and_then(|address| address.parse().ok()) {
        Some(address) => Ok((child, address)),
        None => bail!("the server says `{line}` instead of its address"),
    }
}

/// The last lines of a log, set off for a message; empty where there is nothing.
fn last_words(path: &Path) -> String {
    const LINES: usize = 5;
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| format!("\n  {line}")).collect()
}
