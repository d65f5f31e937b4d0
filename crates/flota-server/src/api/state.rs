use std::{sync::Arc, time::Duration};

use flota_core::{PortResult, RequestId, consume::PollHealth};
use flota_platform::{Platform, net::AddressPolicy, settings::Settings, telemetry::Metrics};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::routes::Routes;
use crate::{intake::Intake, replay::Reruns, wakeups::Wakeups};

/// How soon a waiting call looks again by itself, for another process may have finished the request,
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// and how long it waits at most between two looks, so that thousands of waits cost the store little.
const LOOK_AGAIN_CAP: Duration = Duration::from_secs(8);
/// Most memory that uploads in progress hold together, in KiB.
const UPLOAD_BUDGET_KIB: u32 = 256 * 1024;

/// What the calls of the API share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) platform: Platform,
    pub(crate) settings: Arc<Settings>,
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) intake: Intake,
    pub(crate) reruns: Reruns,
    pub(crate) routes: Arc<Routes>,
    pub(crate) wakeups: Arc<Wakeups>,
    /// Of the roles that this process has.
    pub(crate) polls: Vec<Poll>,
    pub(crate) metrics: Metrics,
    /// Ends waits, so that they do not hold up the end.
    pub(crate) stop: CancellationToken,
    /// Places of calls that wait for a request.
    pub(crate) waits: Arc<Semaphore>,
    pub(crate) upload_budget: Arc<UploadBudget>,
}

/// Whether a role hears from its queue.
#[derive(Clone)]
pub(crate) struct Poll {
    /// What people call the role.
    pub(crate) of: &'static str,
    pub(crate) health: Arc<PollHealth>,
}

/// The memory that uploads in progress may hold together; who does not fit waits.
pub(crate) struct UploadBudget(Semaphore);

impl Default for UploadBudget {
    fn default() -> Self {
        Self(Semaphore::new(UPLOAD_BUDGET_KIB as usize))
    }
}

impl UploadBudget {
    /// Holds room for `size_bytes` until it is dropped.
    pub(crate) async fn hold(&self, size_bytes: u64) -> SemaphorePermit<'_> {
        let kib = u32::try_from(size_bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let held = self.0.acquire_many(kib.min(UPLOAD_BUDGET_KIB)).await;
        held.expect("the semaphore is never closed")
    }
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
            let mut bell = self.wakeups.bell(id);
            let rounds = self.platform.requests.rounds(id).await?;
            if rounds.last().is_none_or(|last| last.finished_at.is_some()) {
                return Ok(true);
            }
            tokio::select! {
                () = bell.rung() => {}
                () = time::sleep(pause) => pause = (pause * 2).min(LOOK_AGAIN_CAP),
                () = time::sleep_until(deadline) => return Ok(true),
                () = self.stop.cancelled() => return Ok(true),
            }
        }
    }
}
