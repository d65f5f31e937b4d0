//! Ends a process whose model or decoder hangs, so that the supervisor starts another and the
//! image is found out like one that crashes.

use std::{
    collections::BTreeMap,
    process,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flota_core::Sha256;

/// What a worker exits with whose model hangs or panics: `EX_SOFTWARE` of sysexits.h.
pub(crate) const EXIT_SOFTWARE: i32 = 70;
/// How often the watchdog looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

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
    /// `decode` or `infer`.
    stage: &'static str,
    /// The image, or the first of a batch.
    sha256: Sha256,
    since: Instant,
    /// How long it may run.
    limit: Duration,
}

/// Watched until it is dropped.
pub(crate) struct Watched {
    watch: Arc<Watch>,
    id: u64,
}

impl Watchdog {
    /// Watches `stage` of an image from now on, which may take as long as `limit`.
    pub(crate) fn watch(&self, stage: &'static str, sha256: Sha256, limit: Duration) -> Watched {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let running = Running { stage, sha256, since: Instant::now(), limit };
        self.0.running().insert(id, running);
        Watched { watch: Arc::clone(&self.0), id }
    }

    /// From now on ends the process when something hangs, on a thread of its own: a hang may have
    /// taken all others.
    pub(crate) fn arm(&self) -> std::io::Result<()> {
        let watch: Weak<Watch> = Arc::downgrade(&self.0);
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while let Some(watch) = watch.upgrade() {
                if let Some(hung) = watch.overdue(Instant::now()) {
                    tracing::error!(
                        stage = hung.stage, image.sha256 = %hung.sha256,
                        limit_ms = hung.limit.as_millis() as u64,
                        "an image has run for longer than the manifest allows, the worker exits"
                    );
                    process::exit(EXIT_SOFTWARE);
                }
                drop(watch);
                thread::sleep(LOOK_INTERVAL);
            }
        })?;
        Ok(())
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
        assert_eq!((overdue.stage, overdue.sha256), ("decode", Sha256::of(b"slow")));
        drop(watched);
        assert!(watchdog.0.overdue(later).is_none());
    }
}
