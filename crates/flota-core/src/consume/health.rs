use std::{sync::Mutex, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::ports::Delivery;

/// When the loop last heard from its queue. Readiness is the age of the last completed poll.
#[derive(Debug, Default)]
pub struct PollHealth {
    last: Mutex<Option<Instant>>,
    drained: Mutex<Drained>,
}

/// How far the queue is emptied, by what its polls brought.
#[derive(Debug, Default)]
struct Drained {
    /// By the polls since it was asked last.
    since_asked: Option<Timestamp>,
    /// What was answered last.
    before: Option<Timestamp>,
}

impl PollHealth {
    /// How long ago a poll completed without error; `None` before the first.
    pub fn last_poll_age(&self) -> Option<Duration> {
        self.last.lock().expect("nothing panics under this lock").map(|last| last.elapsed())
    }

    /// Before when everything that was sent has been received, by the least that the polls since the
    /// last call say; what it said last where there were none.
    pub fn drained_to(&self) -> Option<Timestamp> {
        let mut drained = self.drained.lock().expect("nothing panics under this lock");
        let latest = drained.since_asked.take().or(drained.before);
        drained.before = latest;
        latest
    }

    /// Notes a poll that brought `deliveries`. `waited_since` is when it began, unless it ended
    /// without having waited for a first message.
    pub(super) fn polled(&self, waited_since: Option<Timestamp>, deliveries: &[Delivery]) {
        *self.last.lock().expect("nothing panics under this lock") = Some(Instant::now());
        // What is received again was received before: its age says nothing of what waits.
        let fresh = deliveries.iter().filter(|delivery| delivery.receive_count <= 1);
        let says = match deliveries.is_empty() {
            true => waited_since,
            false => fresh.map(|delivery| delivery.sent_at).min(),
        };
        if let Some(says) = says {
            let mut drained = self.drained.lock().expect("nothing panics under this lock");
            drained.since_asked = Some(drained.since_asked.map_or(says, |least| least.min(says)));
        }
    }
}
