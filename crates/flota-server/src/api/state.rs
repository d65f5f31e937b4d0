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

/// First wait until a waiting call reads the request again: another process may have finished it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Longest such wait, so that thousands of waiting calls cost the store little.
const LOOK_AGAIN_CAP: Duration = Duration::from_secs(8);

/// The state that all calls share.
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
    /// The roles of this process that poll a queue.
    pub(crate) polls: Vec<Poll>,
    pub(crate) metrics: Metrics,
    /// Ends waiting calls when the server stops.
    pub(crate) stop: CancellationToken,
    /// Permits of calls that wait for a request.
    pub(crate) waits: Arc<Semaphore>,
    /// Memory for bodies that are arriving.
    pub(crate) bodies: Arc<Shares>,
    /// Permits of uploads whose content encoding is being decoded.
    pub(crate) decoding: Arc<Semaphore>,
}

/// The polls of a role.
#[derive(Clone)]
pub(crate) struct Poll {
    /// The name of the role in messages.
    pub(crate) of: &'static str,
    pub(crate) health: Arc<PollHealth>,
}

impl Api {
    /// Waits until all rounds of `id` are finished, at most for `wait`. False if too many calls are
    /// waiting already.
    pub(crate) async fn until_finished(&self, id: RequestId, wait: Duration) -> PortResult<bool> {
        let Ok(_place) = self.waits.try_acquire() else { return Ok(false) };
        let deadline = Instant::now() + wait;
        let mut pause = LOOK_AGAIN;
        loop {
            // Created before the read, so that no notification is missed in between.
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
