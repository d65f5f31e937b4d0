use std::{future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use flota_core::{
    hosts::{Ended, Verdict},
    ports::Callbacks,
};
use flota_platform::settings::NotifierSettings;
use futures::{FutureExt, future::join_all};
use tokio::{
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    Attempts,
    receivers::{Receivers, Released},
};
use crate::{metrics, notifications::Notifications};

/// How much longer than one attempt the attempts in progress may take at the end.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Callbacks that are released in the store at the same time.
const RELEASE_CONCURRENCY: usize = 32;

/// Finds due callbacks and delivers them.
pub(crate) struct Notifier {
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) notifications: Arc<Notifications>,
}

impl Notifier {
    /// Runs until `stop`, then waits for the attempts in progress. Errors do not end it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let settings = &self.attempts.settings;
        let mut receivers = Receivers::new(settings);
        let mut under_way: JoinSet<Ended> = JoinSet::new();
        let mut ticks = time::interval(settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_more = false;
        loop {
            if has_more && receivers.has_room() {
                has_more = self.claim(&mut receivers).await;
            }
            self.begin(&mut receivers, &mut under_way);
            let can_claim = has_more && receivers.has_room();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = under_way.join_next() => {
                    if let Ok(ended) = ended {
                        let back = receivers.ended(&ended, self.attempts.clock.now());
                        self.release(back).await;
                    }
                }
                _ = ticks.tick() => {
                    receivers.forget_old_failures(self.attempts.clock.now());
                    has_more = true;
                }
                () = self.notifications.until_callback_due() => has_more = true,
                () = future::ready(()), if can_claim => {}
            }
        }
        self.drain(receivers, under_way).await;
    }

    /// Claims due callbacks. True if there may be more.
    async fn claim(&self, receivers: &mut Receivers) -> bool {
        let settings = &self.attempts.settings;
        let now = self.attempts.clock.now();
        // The claim must outlast the attempt, or another notifier would make it as well.
        let until = now + settings.claim.max(settings.timeout.saturating_mul(2));
        let limit = NotifierSettings::CALLBACKS_AT_ONCE;
        let due = match self.callbacks().claim_due(now, until, limit).await {
            Ok(due) => due,
            Err(error) => {
                warn!(%error, "looking for due callbacks failed");
                return false;
            }
        };
        let is_full = due.len() >= limit;
        let back = due.into_iter().filter_map(|callback| receivers.admit(callback, now)).collect();
        self.release(back).await;
        is_full
    }

    fn begin(&self, receivers: &mut Receivers, under_way: &mut JoinSet<Ended>) {
        let now = self.attempts.clock.now();
        while under_way.len() < NotifierSettings::CALLBACKS_AT_ONCE {
            let Some((host, callback)) = receivers.begin(now) else { return };
            let attempts = self.attempts.clone();
            under_way.spawn(async move {
                let begun = Instant::now();
                let attempt = AssertUnwindSafe(attempts.attempt(&callback)).catch_unwind();
                let receiver_failed = attempt.await.unwrap_or_else(|_| {
                    error!(callback.id = %callback.id, "trying a callback panicked");
                    None
                });
                let verdict = match receiver_failed {
                    Some(true) => Verdict::Failed { retry_after: None, fault: None },
                    Some(false) => Verdict::Answered,
                    None => Verdict::Unknown,
                };
                Ended { host, verdict, took: begun.elapsed() }
            });
        }
    }

    /// Releases callbacks that were claimed and not attempted.
    async fn release(&self, back: Vec<Released>) {
        if back.is_empty() {
            return;
        }
        metrics::callbacks_held_back(back.len());
        for some in back.chunks(RELEASE_CONCURRENCY) {
            let writes = some.iter().filter_map(|(callback, due_at)| {
                let claim = callback.due_at?;
                Some(self.callbacks().release(callback.id, claim, *due_at))
            });
            for error in join_all(writes).await.into_iter().filter_map(Result::err) {
                warn!(%error, "a callback was not released, its claim will end");
            }
        }
    }

    async fn drain(&self, mut receivers: Receivers, mut under_way: JoinSet<Ended>) {
        let now = self.attempts.clock.now();
        let back = receivers.take_all().into_iter().map(|callback| (callback, now)).collect();
        self.release(back).await;
        let bound = self.attempts.settings.timeout + DRAIN_GRACE;
        let ended = async { while under_way.join_next().await.is_some() {} };
        if time::timeout(bound, ended).await.is_err() {
            warn!(attempt_count = under_way.len(), "attempts took too long, they are made again");
        }
    }

    fn callbacks(&self) -> &dyn Callbacks {
        self.attempts.callbacks.as_ref()
    }
}
