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

/// How to consume queues.
#[derive(Debug, Clone)]
pub struct ConsumeSettings {
    /// The queues, at least one. Where messages wait on several, each has a part of the slots by its weight;
    /// where they wait on one, it may have all.
    pub queues: Vec<WeightedQueue>,
    /// Most tasks that are worked on, beside as many whose outcomes are under way; a message that does
    /// not fit any more is still taken when one slot is free, so that the bound is passed by less than
    /// a pack for each message of one receive.
    pub capacity: usize,
    /// As many may be worked on whatever gets done; more, up to `capacity`, only as long as so many get
    /// done in four seconds. Fuller receives cost less, and nobody is to wait long for what is in flight.
    pub min_capacity: usize,
    /// How long a delivery is leased, and by how much a heartbeat extends it.
    pub lease: Duration,
    /// The cap on a lease, from its receipt.
    pub max_lease: Duration,
    /// How long a poll waits for a message.
    pub wait: Duration,
    /// How long draining may take before what is in flight is released unfinished.
    pub drain: Duration,
}

/// A queue, and its part of the slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedQueue {
    /// Its name.
    pub name: QueueName,
    /// Its part of the slots, relative to the weights of the other queues; 0 counts as 1.
    pub weight: u32,
}

impl From<QueueName> for WeightedQueue {
    /// A queue that is consumed alone.
    fn from(name: QueueName) -> Self {
        Self { name, weight: 1 }
    }
}

/// The loop: receive for free slots, decode, extend the leases, acknowledge after the effect, dead-letter
/// what cannot be decoded, back off, drain. One for each queue, all over the same slots.
pub struct Consumer {
    loops: Vec<QueueLoop>,
    health: Arc<PollHealth>,
}

impl Consumer {
    /// Loops that are not running yet. Messages that `handler` cannot decode go to `dead_letters`.
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

    /// When the loops last heard from their queues.
    pub fn health(&self) -> Arc<PollHealth> {
        self.health.clone()
    }

    /// Runs until `stop`, then drains. No error ends it.
    pub async fn run(self, stop: CancellationToken) {
        join_all(self.loops.into_iter().map(|queue_loop| queue_loop.run(stop.clone()))).await;
    }
}
