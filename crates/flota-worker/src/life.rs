//! The sign that a worker is alive.

use std::{sync::Arc, time::Duration};

use flota_core::{consume::PollHealth, ports::WorkerLine};
use flota_platform::Platform;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::throughput::ThroughputMeter;

/// Refreshes of a line within its life, so that two may fail.
const REFRESHES: u32 = 3;

/// Refreshes `line` for another `life` from now and again, until `stop`; then ends it, so that a
/// draining worker is no longer counted on.
pub(crate) async fn keep(
    platform: Platform,
    mut line: WorkerLine,
    polls: Arc<PollHealth>,
    throughput: Arc<ThroughputMeter>,
    life: Duration,
    stop: CancellationToken,
) {
    let mut ticks = interval(life / REFRESHES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let until = platform.clock.now().saturating_add(life);
        line.drained_to = polls.drained_to();
        line.throughput = throughput.read();
        line.until = until.expect("a saturating sum of absolute time does not fail");
        if let Err(error) = platform.models.alive(&line).await {
            tracing::warn!(%error, worker.instance = line.instance, "the line of life is not kept");
        }
    }
    if let Err(error) = platform.models.gone(&line.instance).await {
        tracing::warn!(%error, worker.instance = line.instance, "the line of life is not ended");
    }
}
