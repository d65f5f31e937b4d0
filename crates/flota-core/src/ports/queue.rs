use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{ModelName, PackKey, PortResult, QueueName, TraceParent};

/// At-least-once, unordered queues with leases. It counts messages; the consume loop counts tasks.
///
/// Calls that take a slice take at most [`MAX_QUEUE_BATCH`](crate::limits::MAX_QUEUE_BATCH) entries
/// and answer for each entry, in its order: a part of a batch may fail.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Puts messages on `queue`, which is made if it is not there. `Ok` means durable.
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>>;

    /// Takes up to `max` messages and leases each for `lease`; waits up to `wait` for the first.
    /// Dropping the future may lose a message for the time of its lease: let it end.
    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>>;

    /// Sets the end of leases to `lease` from now; zero gives a message back at once. An entry
    /// fails permanently where the lease is no longer ours.
    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> PortResult<Vec<PortResult<()>>>;

    /// Removes messages whose effect is durable. What is gone already counts as removed.
    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>>;

    /// The queue to which `queue` gives up what was received too often; `None` where it never
    /// gives anything up.
    fn dlq(&self, _queue: &QueueName) -> Option<QueueName> {
        None
    }

    /// About how many messages there are.
    async fn depth(&self, queue: &QueueName) -> PortResult<Depth>;

    /// The tasks whose messages are on `queue`, leased and delayed ones included. `depth` is what
    /// [`depth`](Self::depth) has just answered, for queues that count messages only and estimate what
    /// they hold. `None` where there is nothing to go by.
    async fn backlog(&self, _queue: &QueueName, _depth: Depth) -> PortResult<Option<Backlog>> {
        Ok(None)
    }

    /// For each of `packs`, whether a message about it is on any queue, leased and delayed ones
    /// included. `None` where the queues cannot tell.
    async fn holds(&self, _packs: &[PackKey]) -> PortResult<Option<Vec<bool>>> {
        Ok(None)
    }
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its body, at most [`MAX_MESSAGE_BYTES`](crate::limits::MAX_MESSAGE_BYTES) long.
    pub body: String,
    /// How long nobody receives it, at most
    /// [`MAX_MESSAGE_DELAY`](crate::limits::MAX_MESSAGE_DELAY).
    pub delay: Duration,
    /// How long it may wait for others that go in the same call, where calls are billed.
    pub linger: Duration,
    /// Whose it is: a noisy group does not hold up the others where the queue is fair.
    pub group: String,
    /// The trace that it belongs to, which travels beside it where queues have attributes.
    pub trace: Option<TraceParent>,
    /// The pack whose tasks or outcomes it carries, by which [`Queue::holds`] finds it.
    pub pack: Option<PackKey>,
    /// How many tasks of each model it carries, which [`Queue::backlog`] counts.
    pub tasks: BTreeMap<ModelName, u32>,
}

impl NewMessage {
    /// A message of `group` that goes at once.
    pub fn new(body: impl Into<String>, group: impl Into<String>) -> Self {
        let (body, group) = (body.into(), group.into());
        Self {
            body,
            delay: Duration::ZERO,
            linger: Duration::ZERO,
            group,
            trace: None,
            pack: None,
            tasks: BTreeMap::new(),
        }
    }
}

/// One receipt of a message, whose body is text until it is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<B = String> {
    /// What extends and acknowledges this delivery.
    pub receipt: ReceiptHandle,
    /// The body as it was sent, or decoded.
    pub body: B,
    /// How often the message was received, this time included.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
}

impl<B> Delivery<B> {
    /// The body, and the delivery with `body` in its place.
    pub fn replace_body<C>(self, body: C) -> (B, Delivery<C>) {
        let Self { receipt, body: before, receive_count, sent_at } = self;
        (before, Delivery { receipt, body, receive_count, sent_at })
    }
}

/// The handle of one delivery. A later delivery of the message has another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptHandle(pub String);

/// About how many messages a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Depth {
    /// Waiting to be received.
    pub ready: u64,
    /// Leased.
    pub in_flight: u64,
    /// Delayed.
    pub delayed: u64,
}

/// The tasks that a queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many of each model; none is 0.
    pub tasks: BTreeMap<ModelName, u64>,
    /// When the message that is received next was sent. Where none waits, that of a message in flight.
    pub oldest_sent_at: Option<Timestamp>,
    /// Whether the tasks were counted; else they are an estimate.
    pub is_exact: bool,
}
