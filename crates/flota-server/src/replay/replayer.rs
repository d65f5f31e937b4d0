use std::sync::Arc;

use flota_core::ports::{Clock, DeadLetters, Replays};
use flota_platform::settings::DeadLetterSettings;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{ReplayRunner, active::ActiveReplay};
use crate::notifications::Notifications;

/// Most replays that a server runs at once. Each holds some dead letters in memory.
const MAX_ACTIVE: usize = 16;

/// Claims and runs replays.
pub(crate) struct Replayer {
    pub(crate) replays: Arc<dyn Replays>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) runner: ReplayRunner,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) settings: DeadLetterSettings,
}

impl Replayer {
    /// Runs until `stop`, then releases its replays to other servers. Errors do not end it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut active = Vec::new();
        while !stop.is_cancelled() {
            self.claim(&mut active).await;
            // Steps are frequent; claiming more replays is not.
            let look_again = time::Instant::now() + self.settings.interval;
            while !active.is_empty() && time::Instant::now() < look_again && !stop.is_cancelled() {
                self.step_all(&mut active).await;
                let _ = time::timeout(self.settings.step, stop.cancelled()).await;
            }
            if active.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.notifications.until_replay_started() => {}
                    () = time::sleep_until(look_again) => {}
                }
            }
        }
        self.release(active).await;
    }

    async fn claim(&self, active: &mut Vec<ActiveReplay>) {
        let now = self.clock.now();
        let room = MAX_ACTIVE.saturating_sub(active.len());
        match self.replays.claim(now, now + self.settings.claim, room).await {
            Ok(claimed) => {
                for replay in claimed {
                    info!(replay.id = %replay.id, model = %replay.model, by = replay.by,
                        in_flight_count = replay.progress.in_flight.len(), "a replay goes on here");
                    active.push(ActiveReplay::new(replay, now));
                }
            }
            Err(error) => warn!(%error, "looking for replays failed"),
        }
    }

    async fn step_all(&self, active: &mut Vec<ActiveReplay>) {
        let mut going_on = Vec::new();
        for mut one in active.drain(..) {
            let (id, model) = (one.replay.id, one.replay.model.clone());
            match self.step(&mut one).await {
                Ok(true) => going_on.push(one),
                Ok(false) => {}
                // The state in memory may be stale, so the replay is read again by the next server
                // that claims it.
                Err(error) => warn!(replay.id = %id, %model, %error,
                    "a step of a replay failed, it is taken up again when its claim has ended"),
            }
        }
        *active = going_on;
    }

    async fn release(&self, active: Vec<ActiveReplay>) {
        for ActiveReplay { mut replay, .. } in active {
            replay.claimed_until = self.clock.now();
            if let Err(error) = self.replays.update(&replay).await {
                warn!(replay.id = %replay.id, %error,
                    "a replay goes on elsewhere only when its claim has ended");
            }
        }
    }
}
