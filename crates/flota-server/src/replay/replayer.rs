use std::sync::Arc;

use flota_core::ports::{Clock, DeadLetters, Replays};
use flota_platform::settings::DeadLetterSettings;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Reruns, driven::Driven};
use crate::wakeups::Wakeups;

/// Most replays that one server goes on with: each holds some dead letters in memory.
const MAX_DRIVEN: usize = 16;

/// Goes on with replays that no other server goes on with.
pub(crate) struct Replayer {
    pub(crate) replays: Arc<dyn Replays>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) reruns: Reruns,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) settings: DeadLetterSettings,
}

impl Replayer {
    /// Runs until `stop`; then others may go on at once. No error ends it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut driven = Vec::new();
        while !stop.is_cancelled() {
            self.claim(&mut driven).await;
            // Steps often, and looks for more only now and then.
            let look_again = time::Instant::now() + self.settings.interval;
            while !driven.is_empty() && time::Instant::now() < look_again && !stop.is_cancelled() {
                self.step_all(&mut driven).await;
                let _ = time::timeout(self.settings.step, stop.cancelled()).await;
            }
            if driven.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.wakeups.until_replay_started() => {}
                    () = time::sleep_until(look_again) => {}
                }
            }
        }
        self.release(driven).await;
    }

    async fn claim(&self, driven: &mut Vec<Driven>) {
        let now = self.clock.now();
        let room = MAX_DRIVEN.saturating_sub(driven.len());
        match self.replays.claim(now, now + self.settings.claim, room).await {
            Ok(claimed) => {
                for replay in claimed {
                    info!(replay.id = %replay.id, model = %replay.model, by = replay.by,
                        in_hand_count = replay.progress.in_hand.len(), "a replay goes on here");
                    driven.push(Driven::new(replay, now));
                }
            }
            Err(error) => warn!(%error, "looking for replays failed"),
        }
    }

    async fn step_all(&self, driven: &mut Vec<Driven>) {
        let mut going_on = Vec::new();
        for mut one in driven.drain(..) {
            let (id, model) = (one.replay.id, one.replay.model.clone());
            match self.step(&mut one).await {
                Ok(true) => going_on.push(one),
                Ok(false) => {}
                // Whoever claims it next reads what is true: this one's knowledge may be stale.
                Err(error) => warn!(replay.id = %id, %model, %error,
                    "a step of a replay failed, it is taken up again when its claim has ended"),
            }
        }
        *driven = going_on;
    }

    async fn release(&self, driven: Vec<Driven>) {
        for Driven { mut replay, .. } in driven {
            replay.claimed_until = self.clock.now();
            if let Err(error) = self.replays.update(&replay).await {
                warn!(replay.id = %replay.id, %error,
                    "a replay goes on elsewhere only when its claim has ended");
            }
        }
    }
}
