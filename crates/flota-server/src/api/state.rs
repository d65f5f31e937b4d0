use std::{sync::Arc, time::Duration};

use flota_core::{ModelDirectory, PortResult, QueueNames, RequestId, consume::PollHealth};
use flota_platform::{Platform, net::AddressPolicy, settings::Settings, telemetry::Metrics};
use tokio::{
    sync::Semaphore,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backlog::Backlogs, notifications::Notifications, replay::ReplayRunner, shares::Shares,
    submissions::Submissions,
};

/// How soon a waiting call looks again by itself, for another process may have finished the request,
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// and how long it waits at most between two looks, so that thousands of waits cost the store little.
const LOOK_AGAIN_CAP: Duration = Duration::from_secs(8);

/// What the calls of the API share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) platform: Platform,
    pub(crate) settings: Arc<Settings>,
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) submissions: Submissions,
    pub(crate) runner: ReplayRunner,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) queue_names: QueueNames,
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) backlogs: Arc<Backlogs>,
    /// Of the roles that this process has.
    pub(crate) polls: Vec<Poll>,
    pub(crate) metrics: Metrics,
    /// Ends waits, so that they do not hold up the end.
    pub(crate) stop: CancellationToken,
    /// Places of calls that wait for a request.
    pub(crate) waits: Arc<Semaphore>,
    /// Bytes of bodies that are arriving.
    pub(crate) bodies: Arc<Shares>,
    /// Turns of uploads whose content encoding is undone.
    pub(crate) decoding: Arc<Semaphore>,
}

/// Whether a role hears from its queue.
#[derive(Clone)]
pub(crate) struct Poll {
    /// What people call the role.
    pub(crate) of: &'static str,
    pub(crate) health: Arc<PollHealth>,
}

impl Api {
    /// Waits until all rounds of `id` are finished, but not longer than `wait`; whether there was room for
    /// another waiting call.
    pub(crate) async fn until_finished(&self, id: RequestId, wait: Duration) -> PortResult<bool> {
        let Ok(_place) = self.waits.try_acquire() else { return Ok(false) };
        let deadline = Instant::now() + wait;
        let mut pause = LOOK_AGAIN;
        loop {
            // Before the look, so that nothing is missed in between.
            let mut waiter = self.notifications.waiter(id);
            let rounds = self.platform.requests.rounds(id).await?;
            if rounds.last().is_none_or(|last| last.finished_at.is_some()) {
                return Ok(true);
            }
            tokio::select! {
                () = waiter.notified() => {}
                () = time::sleep(pause) => pause = (pause * 2).min(LOOK_AGAIN_CAP),
                () = time::sleep_until(deadline) => return Ok(true),
                () = self.stop.cancelled() => return Ok(true),
            }
        }
    }
}
