use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use flota_core::{DeadLetter, Replay};
use jiff::Timestamp;

/// Longest time that a delayed server makes up for under the rate.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// A replay that this server runs.
pub(super) struct ActiveReplay {
    pub(super) replay: Replay,
    /// The replay as it was last written.
    pub(super) written: Replay,
    /// Dead letters in flight whose tasks run. Only the outcomes of these tasks have to be read
    /// again.
    pub(super) running: HashMap<String, DeadLetter>,
    /// Dead letters in flight whose tasks this server has sent.
    pub(super) sent: HashSet<String>,
    /// How many dead letters the rate allows now.
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

    /// How many dead letters may be replayed now.
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
