use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_core::{backoff, ports::Clock};
use flota_platform::embedded;
use flota_worker::{EXIT_CONFIG, EXIT_NOT_NOW, ReadyReport};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdout,
    sync::mpsc,
    time::Instant,
};
use tracing::{error, info, warn};

use super::{
    Stop,
    child::{Child, ChildSpec, describe},
};

/// How the server is spoken of.
pub(crate) const SERVER: &str = "server";
/// What a child exits with that failed for a cause which it could not name the kind of.
const FAILED: i32 = 1;
/// What a child exits with that does not know the command line which we gave it.
const USAGE: i32 = 2;
/// A child that failed so often in a row, at growing distances, will not find it otherwise.
const MAX_FAILURES: u32 = 5;
/// Longest wait before a child is started again after its first end.
const BACKOFF_BASE: Duration = Duration::from_millis(500);
/// Longest wait before a child is started again: an operator who cured the cause is not kept
/// waiting longer.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// A child that ran so long was healthy: its next end counts as the first.
const HEALTHY: Duration = Duration::from_secs(30);

/// The end of a child that nobody asked for.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The child.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// How often it ended in a row without having been healthy.
    pub in_a_row: u32,
}

impl Ended {
    /// Whether it has said why it cannot work, where a crash says nothing.
    pub fn is_explained(&self) -> bool {
        self.status.code() == Some(FAILED) || self.is_not_now() || self.is_hopeless()
    }

    /// Whether it has said that it cannot work for a cause that passes. It is started again until it
    /// works.
    pub fn is_not_now(&self) -> bool {
        self.status.code() == Some(EXIT_NOT_NOW.into())
    }

    /// Whether it has said that another start ends the same.
    fn is_hopeless(&self) -> bool {
        matches!(self.status.code(), Some(code) if code == i32::from(EXIT_CONFIG) || code == USAGE)
    }

    /// Whether it will not be started again.
    pub fn is_final(&self) -> bool {
        let has_failed = self.status.code() == Some(FAILED);
        self.is_hopeless() || has_failed && self.in_a_row >= MAX_FAILURES
    }

    /// Whether it was the server, without which nothing works.
    pub fn is_server(&self) -> bool {
        self.name == SERVER
    }

    /// The sentence for a child that cannot work now; `None` where that was said before.
    pub fn tried_again(&self) -> Option<String> {
        let is_first = self.is_not_now() && self.in_a_row == 1;
        is_first.then(|| {
            format!(
                "`{}` failed temporarily ({}): it is restarted until it works, at most every {} s; the \
                 reason is above",
                self.name,
                self.how(),
                BACKOFF_CAP.as_secs()
            )
        })
    }

    /// How it ended, in words.
    pub fn how(&self) -> String {
        describe(self.status)
    }
}

/// What workers have reported of themselves, by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadyReports(Arc<Mutex<BTreeMap<String, ReadyReport>>>);

impl ReadyReports {
    /// The last report of `worker`.
    pub fn of(&self, worker: &str) -> Option<ReadyReport> {
        self.0.lock().expect("nothing panics under this lock").get(worker).cloned()
    }

    /// Takes the reports out of what `worker` writes, to its end.
    async fn read(self, worker: String, stdout: ChildStdout) {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(report) = ReadyReport::parse(&line) {
                let mut reports = self.0.lock().expect("nothing panics under this lock");
                reports.insert(worker.clone(), report);
            }
        }
    }
}

/// Keeps one child running until the fleet stops.
pub(crate) struct Supervisor {
    /// How it is started again.
    pub spec: ChildSpec,
    /// How long it may take to stop.
    pub stop_bound: Duration,
    /// Where its ends are told.
    pub ends: mpsc::Sender<Ended>,
    /// Where the reports of workers go.
    pub reports: ReadyReports,
    /// The data folder of a store on this machine, where the leases of a child are ended that ended.
    pub data_dir: Option<PathBuf>,
    /// The randomness of the back-off.
    pub clock: Arc<dyn Clock>,
}

impl Supervisor {
    /// Watches `child` and starts it again, with jittered back-off, when it ends; returns when the
    /// fleet stops or the child has given up too often.
    pub async fn run(self, child: Child, stop: Stop) {
        let mut in_a_row = 0;
        let mut running = Some(child);
        loop {
            if let Some(mut child) = running {
                if let Some(stdout) = child.take_stdout() {
                    tokio::spawn(self.reports.clone().read(self.spec.name.clone(), stdout));
                }
                let (started, id) = (Instant::now(), child.id());
                let Some(status) = self.watch(child, &stop).await else { return };
                in_a_row = if started.elapsed() >= HEALTHY { 1 } else { in_a_row + 1 };
                let ended = Ended { name: self.spec.name.clone(), status, in_a_row };
                let is_final = ended.is_final();
                warn!(child = self.spec.name, how = ended.how(), "child exited");
                self.end_leases(id).await;
                // Nobody may be looking, and no child waits for that.
                let _ = self.ends.try_send(ended);
                if is_final {
                    return;
                }
            } else {
                in_a_row += 1;
            }
            let wait = backoff(in_a_row, BACKOFF_BASE, BACKOFF_CAP, self.clock.random());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.orderly.cancelled() => return,
            }
            let started = Child::start(&self.spec);
            match &started {
                Ok(_) => info!(child = self.spec.name, in_a_row, "child restarted"),
                Err(error) => error!(child = self.spec.name, "cannot start child: {error:#}"),
            }
            running = started.ok();
        }
    }

    /// Ends the leases of a child that ended, so that what it had in flight waits for nobody.
    async fn end_leases(&self, id: Option<u32>) {
        let (Some(data_dir), Some(id)) = (self.data_dir.clone(), id) else { return };
        let ending = tokio::task::spawn_blocking(move || embedded::end_leases(&data_dir, id));
        match ending.await {
            Ok(Ok(0)) => {}
            Ok(Ok(message_count)) => info!(
                child = self.spec.name,
                message_count, "messages in flight of the child are released"
            ),
            Ok(Err(error)) => {
                warn!(child = self.spec.name, %error, "cannot release the child's messages; their leases will expire")
            }
            Err(error) => error!(child = self.spec.name, %error, "ending leases panicked"),
        }
    }

    /// How `child` ended, or `None` where the fleet stopped it.
    async fn watch(&self, mut child: Child, stop: &Stop) -> Option<ExitStatus> {
        tokio::select! {
            status = child.ended() => match status {
                Ok(status) => Some(status),
                Err(error) => {
                    error!(child = self.spec.name, "cannot wait for a child: {error}");
                    None
                }
            },
            () = stop.orderly.cancelled() => {
                child.stop(self.stop_bound, &stop.now).await;
                None
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn ended(code: u8, in_a_row: u32) -> Ended {
        let status = ExitStatus::from_raw(i32::from(code) << 8);
        Ended { name: "cat".to_owned(), status, in_a_row }
    }

    #[test]
    fn what_passes_is_never_given_up_and_what_does_not_is_at_once() {
        assert!(!ended(EXIT_NOT_NOW, 1_000).is_final());
        assert!(ended(EXIT_CONFIG, 1).is_final());
        assert!(ended(2, 1).is_final(), "it does not know its command line");
        assert!(!ended(1, 4).is_final() && ended(1, 5).is_final());
        let crashed = ExitStatus::from_raw(9);
        assert!(!Ended { status: crashed, ..ended(0, 1_000) }.is_final());
    }

    #[test]
    fn a_child_is_started_again_within_half_a_minute_however_often_it_ended() {
        for in_a_row in [5, 10, 1_000, u32::MAX] {
            assert!(backoff(in_a_row, BACKOFF_BASE, BACKOFF_CAP, u64::MAX) <= BACKOFF_CAP);
        }
    }
}
