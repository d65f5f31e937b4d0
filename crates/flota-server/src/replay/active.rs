use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use flota_core::{DeadLetter, Replay};
use jiff::Timestamp;

/// A server that was held up does not catch up on the rate for longer than that.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// A replay that this server goes on with.
pub(super) struct ActiveReplay {
    pub(super) replay: Replay,
    /// As it was written last.
    pub(super) written: Replay,
    /// The dead letters in flight whose tasks run: nothing about them but their outcomes changes.
    pub(super) running: HashMap<String, DeadLetter>,
    /// The dead letters in flight whose tasks were sent by this server.
    pub(super) sent: HashSet<String>,
    /// How many may be taken under the rate.
    pub(super) allowance: f64,
    stepped_at: Timestamp,
}

impl ActiveReplay {
    pub(super) fn new(replay: Replay, now: Timestamp) -> Self {
        let written = replay.clone();
        Self {
            replay,
            written,
            running: HashMap::new(),
            sent: HashSet::new(),
            allowance: 1.0,
            stepped_at: now,
        }
    }

    /// How many may be taken now.
    pub(super) fn room(&mut self, now: Timestamp) -> usize {
        let room = self.replay.room();
        let Some(rate) = self.replay.plan.rate_per_second.map(f64::from) else { return room };
        let passed = Duration::try_from(now.duration_since(self.stepped_at)).unwrap_or_default();
        let earned = rate * passed.min(MAX_CATCH_UP).as_secs_f64();
        self.allowance = (self.allowance + earned).min(rate.max(1.0));
        self.stepped_at = now;
        room.min(self.allowance as usize)
    }
}
