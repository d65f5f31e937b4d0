use std::{sync::Mutex, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::ports::Delivery;

/// When the loops last received from their queues. Readiness depends on the age of the last
/// successful poll.
#[derive(Debug)]
pub struct PollHealth {
    queues: Vec<QueueHealth>,
}

#[derive(Debug, Default)]
struct QueueHealth {
    last: Mutex<Option<Instant>>,
    drained: Mutex<Drained>,
}

/// Up to when a queue is drained, as its polls show.
#[derive(Debug, Default)]
struct Drained {
    /// From the polls since [`PollHealth::drained_to`] was last called.
    since_asked: Option<Timestamp>,
    /// The last answer.
    before: Option<Timestamp>,
}

impl PollHealth {
    /// Health of `queue_count` queues, none of which has been polled yet.
    pub fn new(queue_count: usize) -> Self {
        Self { queues: (0..queue_count).map(|_| QueueHealth::default()).collect() }
    }

    /// The time since the last successful poll, of the queue where it is longest. `None` until
    /// every queue has been polled once.
    pub fn last_poll_age(&self) -> Option<Duration> {
        let ages = self.queues.iter().map(QueueHealth::last_poll_age);
        ages.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The time before which every message that was sent has been received: the earliest over all
    /// queues, from the polls since the last call. The last answer if there were no polls.
    pub fn drained_to(&self) -> Option<Timestamp> {
        // Every queue is asked, because the call resets it.
        let drained: Vec<_> = self.queues.iter().map(QueueHealth::drained_to).collect();
        drained.into_iter().min().flatten()
    }

    /// Records a poll that returned `deliveries`. `waited_since` is when it began; `None` if it
    /// returned nothing without having waited.
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
        // A redelivery is no evidence: the message was received before.
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
