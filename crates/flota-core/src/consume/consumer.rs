use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{
    Handler, PollHealth,
    handler::{TypedHandler, UnreadableMessages},
    queue_loop::QueueLoop,
    slots::Slots,
};
use crate::{
    QueueName,
    ports::{Clock, DeadLetters, Queue},
};

/// Settings of a [`Consumer`].
#[derive(Debug, Clone)]
pub struct ConsumeSettings {
    /// The queues, at least one. If messages wait on several queues, the slots are divided by
    /// weight; if they wait on one only, it may use all slots.
    pub queues: Vec<WeightedQueue>,
    /// The number of tasks that may be in progress; as many again may have their outcomes reported.
    /// A message that holds more tasks than there are free slots is still taken if one slot is
    /// free, so the bound can be exceeded by less than a pack for each message of one receive. With
    /// several queues, all polls that wait when a burst comes may be filled: once per queue more.
    pub capacity: usize,
    /// The number of tasks that may always be in progress. Beyond it, up to `capacity`, only as
    /// many tasks as were finished in the last four seconds may be in progress: large receives cost
    /// less, but a task must not wait long in this process.
    pub min_capacity: usize,
    /// Duration of a lease. A heartbeat extends it by as much.
    pub lease: Duration,
    /// Longest total duration of a lease, from the receipt.
    pub max_lease: Duration,
    /// Longest time that a poll waits for a message.
    pub wait: Duration,
    /// Longest time for draining. What is unfinished then is released.
    pub drain: Duration,
}

/// A queue and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedQueue {
    /// The queue.
    pub name: QueueName,
    /// The queue's share of the slots, relative to the weights of the other queues. 0 counts as 1.
    pub weight: u32,
}

impl From<QueueName> for WeightedQueue {
    /// The only queue of a consumer.
    fn from(name: QueueName) -> Self {
        Self { name, weight: 1 }
    }
}

/// Consumes queues: receives messages for free slots, decodes them, extends their leases,
/// acknowledges them after their effect, dead-letters those that cannot be decoded, backs off after
/// errors, and drains at the end. Each queue has a loop; all loops share the slots.
pub struct Consumer {
    loops: Vec<QueueLoop>,
    health: Arc<PollHealth>,
}

impl Consumer {
    /// Creates the loops without running them. Messages that `handler` cannot decode are stored in
    /// `dead_letters`.
    pub fn new<H: Handler>(
        queue: Arc<dyn Queue>,
        dead_letters: Arc<dyn DeadLetters>,
        clock: Arc<dyn Clock>,
        settings: ConsumeSettings,
        handler: Arc<H>,
    ) -> Self {
        let weights: Vec<u32> = settings.queues.iter().map(|queue| queue.weight).collect();
        let slots = Slots::new(settings.min_capacity, settings.capacity, &weights);
        let health = Arc::new(PollHealth::new(weights.len()));
        let queue_loop = |(index, WeightedQueue { name, .. }): (usize, &WeightedQueue)| {
            let unreadable = UnreadableMessages {
                dead_letters: Arc::clone(&dead_letters),
                clock: Arc::clone(&clock),
                queue: name.clone(),
            };
            let handler = Box::new(TypedHandler { handler: Arc::clone(&handler), unreadable });
            let (queue, clock, health) = (queue.clone(), clock.clone(), health.clone());
            let shares = slots.of_queue(index);
            QueueLoop::new(queue, name.clone(), clock, &settings, handler, health, shares)
        };
        let loops = settings.queues.iter().enumerate().map(queue_loop).collect();
        Self { loops, health }
    }

    /// When the loops last received from their queues.
    pub fn health(&self) -> Arc<PollHealth> {
        self.health.clone()
    }

    /// Runs until `stop` is cancelled, then drains. Errors do not end it.
    pub async fn run(self, stop: CancellationToken) {
        join_all(self.loops.into_iter().map(|queue_loop| queue_loop.run(stop.clone()))).await;
    }
}
