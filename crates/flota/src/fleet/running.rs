use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use flota_client::Client;
use flota_platform::SystemClock;
use flota_worker::ReadyReport;
use reqwest::Url;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    FoundModel, Plan, PlannedWorker, Stop,
    child::{Child, ChildSpec, describe},
    plan::{log_file, set},
    supervisor::{Ended, ReadyReports, Supervisor},
};
use crate::print::note;

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
    supervisors: JoinSet<()>,
    ends: mpsc::Receiver<Ended>,
    ends_in: mpsc::Sender<Ended>,
    reports: ReadyReports,
    stop: Stop,
    logs: Option<PathBuf>,
}

impl Fleet {
    /// Starts the server and the workers, and returns when each of them is ready.
    ///
    /// # Errors
    /// If a child refuses to run or cannot get ready; then none is left running.
    pub async fn start(plan: &Plan, stop: &Stop) -> anyhow::Result<Self> {
        let mut fleet = Self::start_server(plan, stop).await?;
        let ready = match fleet.start_workers(plan) {
            Ok(()) => fleet.workers_ready(plan, |_, _| Ok(())).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => Ok(fleet),
            Err(error) => {
                fleet.stop().await;
                Err(error)
            }
        }
    }

    /// Starts the server alone and returns when it listens.
    ///
    /// # Errors
    /// If it refuses to run; then it is not left running.
    pub async fn start_server(plan: &Plan, stop: &Stop) -> anyhow::Result<Self> {
        let stop = stop.child();
        let (ends_in, ends) = mpsc::channel(ENDS_IN_HAND);
        let mut spec = plan.server()?;
        let (child, address) = start_server(&spec, &stop, plan.drain).await?;
        // Started again, the server is where its clients know it to be.
        spec.args.extend(set("server.listen", &address.to_string()));
        let (supervisors, reports, logs) =
            (JoinSet::new(), ReadyReports::default(), plan.logs.clone());
        let mut fleet = Self { address, supervisors, ends, ends_in, reports, stop, logs };
        fleet.keep(spec, child, plan);
        Ok(fleet)
    }

    /// Starts the workers, and does not wait until they are ready.
    ///
    /// # Errors
    /// If the process of one cannot be started.
    pub fn start_workers(&mut self, plan: &Plan) -> anyhow::Result<()> {
        for worker in &plan.workers {
            let spec = plan.worker(worker)?;
            let child = Child::start(&spec)?;
            self.keep(spec, child, plan);
        }
        Ok(())
    }

    /// Returns when each worker is ready, and calls `on_ready` for each as soon as it is, with what it
    /// reports of itself.
    ///
    /// # Errors
    /// If a child refuses to run or cannot get ready, the fleet is to stop, or `on_ready` fails.
    pub async fn workers_ready(
        &mut self,
        plan: &Plan,
        mut on_ready: impl FnMut(&PlannedWorker, Option<ReadyReport>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let client = Client::new(self.url());
        let mut starting: Vec<&PlannedWorker> = plan.workers.iter().collect();
        while !starting.is_empty() {
            let looked = self.unless_hopeless(async {
                tokio::time::sleep(READY_POLL).await;
                // An error only means "not yet": the ends tell when the server is not there.
                client.models().await.unwrap_or_default()
            });
            let known = looked.await?;
            let is_alive = |model: &FoundModel| {
                let name = &model.manifest.name;
                known.iter().any(|known| known.name == *name && known.workers_alive > 0)
            };
            let (ready, others): (Vec<_>, Vec<_>) =
                starting.into_iter().partition(|worker| worker.models.iter().all(is_alive));
            for worker in ready {
                on_ready(worker, self.reports.of(worker.name.as_str()))?;
            }
            starting = others;
        }
        Ok(())
    }

    /// The address as clients write it.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket address makes a URL")
    }

    /// The next end of a child that nobody asked for.
    pub async fn next_end(&mut self) -> Ended {
        match self.ends.recv().await {
            Some(ended) => ended,
            // Cannot be: the fleet itself holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Stops every child and returns when they have ended.
    pub async fn stop(mut self) {
        self.stop.orderly.cancel();
        while self.supervisors.join_next().await.is_some() {}
    }

    /// The last lines of a child's log file, to be shown when it ended; empty where there is none.
    pub fn last_words(&self, child: &str) -> String {
        self.logs.as_deref().map(|logs| last_words(&log_file(logs, child))).unwrap_or_default()
    }

    fn keep(&mut self, spec: ChildSpec, child: Child, plan: &Plan) {
        let supervisor = Supervisor {
            spec,
            stop_bound: plan.drain.saturating_add(STOP_MARGIN),
            ends: self.ends_in.clone(),
            reports: self.reports.clone(),
            data_dir: plan.data_dir.clone(),
            clock: Arc::new(SystemClock),
        };
        self.supervisors.spawn(supervisor.run(child, self.stop.clone()));
    }

    /// What `work` comes to, unless a child ends for good before, or the fleet is to stop.
    async fn unless_hopeless<T>(&mut self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = self.stop.orderly.cancelled() => bail!("interrupted"),
                Some(ended) = self.ends.recv() => {
                    let is_hopeless = match ended.is_not_now() {
                        true => false,
                        false => ended.is_explained() || ended.in_a_row >= MAX_FAILED_STARTS,
                    };
                    let words = self.last_words(&ended.name);
                    if is_hopeless {
                        bail!("`{}` did not start ({}){words}", ended.name, ended.how());
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
        line = lines.next_line() => line.context("cannot read the server's output")?,
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
        None => bail!("the server printed `{line}` instead of its address"),
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
