use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// When the loop last heard from its queue. Readiness is the age of the last completed poll.
#[derive(Debug, Default)]
pub struct PollHealth {
    last: Mutex<Option<Instant>>,
}

impl PollHealth {
    /// How long ago a poll completed without error; `None` before the first.
    pub fn last_poll_age(&self) -> Option<Duration> {
        self.last.lock().expect("nothing panics under this lock").map(|last| last.elapsed())
    }

    pub(super) fn polled(&self) {
        *self.last.lock().expect("nothing panics under this lock") = Some(Instant::now());
    }
}
