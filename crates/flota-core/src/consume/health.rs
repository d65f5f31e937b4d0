use std::{sync::Mutex, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::ports::Delivery;

/// When the loops last heard from their queues. Readiness is the age of the last completed poll.
#[derive(Debug)]
pub struct PollHealth {
    queues: Vec<QueueHealth>,
}

#[derive(Debug, Default)]
struct QueueHealth {
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
    /// Of this many queues, none of which was polled yet.
    pub fn new(queue_count: usize) -> Self {
        Self { queues: (0..queue_count).map(|_| QueueHealth::default()).collect() }
    }

    /// How long ago a poll completed without error, of the queue where that is longest; `None` before the
    /// first poll of each.
    pub fn last_poll_age(&self) -> Option<Duration> {
        let ages = self.queues.iter().map(QueueHealth::last_poll_age);
        ages.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Before when everything that was sent has been received, by the least that the polls since the
    /// last call say of any queue; what it said last where there were none.
    pub fn drained_to(&self) -> Option<Timestamp> {
        // Every queue is asked, also beside one that has not been polled.
        let drained: Vec<_> = self.queues.iter().map(QueueHealth::drained_to).collect();
        drained.into_iter().min().flatten()
    }

    /// Notes a poll of a queue that brought `deliveries`. `waited_since` is when it began, unless it ended
    /// without having waited for a first message.
    pub(super) fn polled(
        &self,
        queue: usize,
        waited_since: Option<Timestamp>,
        deliveries: &[Delivery],
    ) {
        self.queues[queue].polled(waited_since, deliveries);
    }
}

impl QueueHealth {
    fn last_poll_age(&self) -> Option<Duration> {
        self.last.lock().expect("nothing panics under this lock").map(|last| last.elapsed())
    }

    fn drained_to(&self) -> Option<Timestamp> {
        let mut drained = self.drained.lock().expect("nothing panics under this lock");
        let latest = drained.since_asked.take().or(drained.before);
        drained.before = latest;
        latest
    }

    fn polled(&self, waited_since: Option<Timestamp>, deliveries: &[Delivery]) {
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
