//! The heartbeat of a worker process.

use std::{sync::Arc, time::Duration};

use flota_core::{consume::PollHealth, ports::WorkerHeartbeat};
use flota_platform::Platform;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::throughput::ThroughputMeter;

/// Heartbeats within the time in which a worker counts as alive, so that two may fail.
const REFRESHES: u32 = 3;

/// Sends `heartbeat` now and again until `stop`, each valid for `lifetime`; then removes it, so that a draining
/// worker no longer counts as alive.
pub(crate) async fn send(
    platform: Platform,
    mut heartbeat: WorkerHeartbeat,
    polls: Arc<PollHealth>,
    throughput: Arc<ThroughputMeter>,
    lifetime: Duration,
    stop: CancellationToken,
) {
    let mut ticks = interval(lifetime / REFRESHES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let until = platform.clock.now().saturating_add(lifetime);
        heartbeat.drained_to = polls.drained_to();
        heartbeat.throughput = throughput.read();
        heartbeat.until = until.expect("a saturating sum of absolute time does not fail");
        if let Err(error) = platform.models.alive(&heartbeat).await {
            tracing::warn!(%error, worker.instance = heartbeat.instance, "worker heartbeat failed");
        }
    }
    if let Err(error) = platform.models.gone(&heartbeat.instance).await {
        tracing::warn!(%error, worker.instance = heartbeat.instance, "removing the worker heartbeat failed");
    }
}
