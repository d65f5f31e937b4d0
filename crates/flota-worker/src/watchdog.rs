//! Ends a process whose model or decoder hangs, so that the supervisor starts another and the image is
//! isolated like one that crashes; and one whose model hangs before there is an image.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flota_core::{ModelName, Sha256};
use tokio::time::Instant;

use crate::executor::{Executor, OsExecutor};

/// What a worker exits with whose model hangs or panics: `EX_SOFTWARE` of sysexits.h.
pub(crate) const EXIT_SOFTWARE: i32 = 70;
/// What a process exits with whose model does not get ready: it has said why.
const EXIT_NOT_READY: i32 = 1;
/// How often the watchdog checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Watches what runs on threads, where nothing can be cancelled.
#[derive(Clone, Default)]
pub(crate) struct Watchdog(Arc<Watch>);

#[derive(Default)]
struct Watch {
    next_id: AtomicU64,
    running: Mutex<BTreeMap<u64, Running>>,
}

/// What is being run.
#[derive(Debug, Clone)]
struct Running {
    /// `decode` or `infer`, or what a model does before it is served.
    stage: &'static str,
    subject: Subject,
    since: Instant,
    /// How long it may run.
    limit: Duration,
}

#[derive(Debug, Clone, PartialEq)]
enum Subject {
    /// An image, or the first of a batch.
    Image(Sha256),
    /// A model that is not served yet.
    Model(ModelName),
}

/// Watched until it is dropped.
pub(crate) struct Watched {
    watch: Arc<Watch>,
    id: u64,
}

impl Watchdog {
    /// Watches `stage` of an image from now on, which may take as long as `limit`.
    pub(crate) fn watch(&self, stage: &'static str, sha256: Sha256, limit: Duration) -> Watched {
        self.start(stage, Subject::Image(sha256), limit)
    }

    /// Watches a model that is not served yet do `stage`, which may take as long as `limit`.
    pub(crate) fn watch_model(
        &self,
        stage: &'static str,
        model: &ModelName,
        limit: Duration,
    ) -> Watched {
        self.start(stage, Subject::Model(model.clone()), limit)
    }

    /// The one that watches what is done with models that are not served, armed.
    pub(crate) fn of_process() -> &'static Self {
        static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();
        WATCHDOG.get_or_init(|| {
            let watchdog = Self::default();
            let process: Arc<dyn Executor> = Arc::new(OsExecutor);
            if let Err(error) = watchdog.arm(&process) {
                tracing::warn!(%error, "no thread watches over the loading of models");
            }
            watchdog
        })
    }

    /// What of a model that is not served runs, and its limit in seconds.
    #[cfg(test)]
    pub(crate) fn running_of(&self, model: &ModelName) -> Vec<(&'static str, u64)> {
        let subject = Subject::Model(model.clone());
        let running = self.0.running();
        let of_model = running.values().filter(|running| running.subject == subject);
        of_model.map(|running| (running.stage, running.limit.as_secs())).collect()
    }

    fn start(&self, stage: &'static str, subject: Subject, limit: Duration) -> Watched {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let running = Running { stage, subject, since: Instant::now(), limit };
        self.0.running().insert(id, running);
        Watched { watch: Arc::clone(&self.0), id }
    }

    /// From now on ends the process when something hangs, whatever threads it has taken.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn arm(&self, process: &Arc<dyn Executor>) -> io::Result<()> {
        let (watch, ending): (Weak<Watch>, _) = (Arc::downgrade(&self.0), Arc::clone(process));
        let check = move || {
            let Some(watch) = watch.upgrade() else { return false };
            let hung = watch.overdue(Instant::now());
            if let Some(hung) = &hung {
                ending.exit(hung.report());
            }
            hung.is_none()
        };
        process.every("watchdog", CHECK_INTERVAL, Box::new(check))
    }
}

impl Running {
    /// Reports that it hangs, and returns what to exit with.
    fn report(&self) -> i32 {
        let limit_ms = self.limit.as_millis() as u64;
        match &self.subject {
            Subject::Image(sha256) => {
                tracing::error!(
                    stage = self.stage, image.sha256 = %sha256, limit_ms,
                    "an image has run for longer than the manifest allows, the worker exits"
                );
                EXIT_SOFTWARE
            }
            Subject::Model(model) => {
                eprintln!(
                    "error: `{model}` has taken longer than {} s for {}: it may loop for ever; \
                     `engine.load_timeout_ms` bounds loading, and `limits.max_seconds` of the \
                     manifest an image",
                    self.limit.as_secs(),
                    self.stage
                );
                EXIT_NOT_READY
            }
        }
    }
}

impl Watch {
    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Running>> {
        self.running.lock().expect("nothing panics under this lock")
    }

    /// What has run for longer than its limit at `now`.
    fn overdue(&self, now: Instant) -> Option<Running> {
        let is_overdue =
            |running: &&Running| now.saturating_duration_since(running.since) > running.limit;
        self.running().values().find(is_overdue).cloned()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.running().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_too_long_is_overdue_until_it_ends() {
        let limit = Duration::from_secs(60);
        let watchdog = Watchdog::default();
        let watched = watchdog.watch("decode", Sha256::of(b"slow"), limit);
        assert!(watchdog.0.overdue(Instant::now()).is_none());
        let later = Instant::now() + 2 * limit;
        let overdue = watchdog.0.overdue(later).unwrap();
        assert_eq!(overdue.subject, Subject::Image(Sha256::of(b"slow")));
        assert_eq!((overdue.stage, overdue.report()), ("decode", EXIT_SOFTWARE));
        drop(watched);
        let watched = watchdog.watch_model("loading", &"m".parse().unwrap(), limit);
        assert_eq!(watchdog.0.overdue(later).unwrap().report(), EXIT_NOT_READY);
        drop(watched);
        assert!(watchdog.0.overdue(later).is_none());
    }
}
