use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{ModelName, PackKey, PortResult, QueueName, TraceParent};

/// Unordered queues with at-least-once delivery and leases. They count messages; the consume loop
/// counts tasks.
///
/// Calls with a slice take at most [`MAX_QUEUE_BATCH`](crate::limits::MAX_QUEUE_BATCH) entries.
/// They return a result per entry, in order: some may fail while others succeed.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages to `queue`, which is created if it does not exist. `Ok` means that a message
    /// is durable.
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>>;

    /// Receives up to `max` messages and leases each for `lease`. It waits up to `wait` for the
    /// first. Do not drop the future: a message that it was about to return stays leased.
    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>>;

    /// Makes leases end `lease` from now. Zero releases the message at once. An entry fails
    /// permanently if its lease was lost.
    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> PortResult<Vec<PortResult<()>>>;

    /// Deletes messages whose effects are durable. Succeeds for messages that are gone already.
    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>>;

    /// The dead-letter queue of `queue`, which gets messages that were received too often. `None`
    /// if the adapter has none.
    fn dlq(&self, _queue: &QueueName) -> Option<QueueName> {
        None
    }

    /// The approximate number of messages.
    async fn depth(&self, queue: &QueueName) -> PortResult<Depth>;

    /// The tasks in the messages on `queue`, including leased and delayed ones. `depth` is a recent
    /// answer of [`depth`](Self::depth), for adapters that can only estimate tasks from messages.
    /// `None` if no estimate is possible.
    async fn backlog(&self, _queue: &QueueName, _depth: Depth) -> PortResult<Option<Backlog>> {
        Ok(None)
    }

    /// Whether any queue holds a message about each of `packs`, including leased and delayed ones.
    /// `None` if the adapter cannot tell.
    async fn holds(&self, _packs: &[PackKey]) -> PortResult<Option<Vec<bool>>> {
        Ok(None)
    }
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The body, at most [`MAX_MESSAGE_BYTES`](crate::limits::MAX_MESSAGE_BYTES).
    pub body: String,
    /// How long the message stays invisible, at most
    /// [`MAX_MESSAGE_DELAY`](crate::limits::MAX_MESSAGE_DELAY).
    pub delay: Duration,
    /// How long the adapter may delay the message to send it with others, if calls are billed.
    pub linger: Duration,
    /// The group for fair queues: a busy group does not delay other groups. Flota uses the client's
    /// name.
    pub group: String,
    /// The trace context, sent as an attribute if the queue has attributes.
    pub trace: Option<TraceParent>,
    /// The pack that the message is about, for [`Queue::holds`].
    pub pack: Option<PackKey>,
    /// The number of tasks per model, for [`Queue::backlog`].
    pub tasks: BTreeMap<ModelName, u32>,
}

impl NewMessage {
    /// A message of `group` without delay.
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

/// One delivery of a message. The body is text until it is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<B = String> {
    /// The handle for extending and acknowledging the delivery.
    pub receipt: ReceiptHandle,
    /// The body, as sent or decoded.
    pub body: B,
    /// How often the message has been received, including this time.
    pub receive_count: u32,
    /// When the message was sent.
    pub sent_at: Timestamp,
}

impl<B> Delivery<B> {
    /// Replaces the body, and returns the old one.
    pub fn replace_body<C>(self, body: C) -> (B, Delivery<C>) {
        let Self { receipt, body: before, receive_count, sent_at } = self;
        (before, Delivery { receipt, body, receive_count, sent_at })
    }
}

/// The handle of one delivery. Each delivery of a message has its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptHandle(pub String);

/// The approximate number of messages on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Depth {
    /// Messages that wait to be received.
    pub ready: u64,
    /// Leased messages.
    pub in_flight: u64,
    /// Delayed messages.
    pub delayed: u64,
}

/// The tasks on a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// The number of tasks per model. Models without tasks may be absent.
    pub tasks: BTreeMap<ModelName, u64>,
    /// When the next message to be received was sent. If none waits, when one in flight was sent.
    pub oldest_sent_at: Option<Timestamp>,
    /// Whether the numbers are exact; otherwise they are estimates.
    pub is_exact: bool,
}
