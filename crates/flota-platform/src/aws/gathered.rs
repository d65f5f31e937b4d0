use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    BatchLimits, Batcher, PortError, PortResult, QueueName,
    limits::MAX_QUEUE_BATCH,
    ports::{
        Backlog, Delivery, Depth, NewMessage, Queue, ReceiptHandle, queue_bounds::check_batch,
    },
};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};

use super::messages;

/// What one call takes, and how many calls are made at once to one queue.
const LIMITS: BatchLimits =
    BatchLimits { max_count: MAX_QUEUE_BATCH, max_bytes: messages::MAX_BATCH_BYTES, max_calls: 64 };
/// Wait of a message for others that go in the same call, where it has not more linger.
const SEND_LINGER: Duration = Duration::from_millis(25);
/// Longest wait of a message that has more.
const MAX_SEND_LINGER: Duration = Duration::from_secs(1);
/// Longest wait to be acknowledged. Nobody waits for that.
const ACK_LINGER: Duration = Duration::from_secs(1);
/// The part of a lease that waiting to be acknowledged may take, where that is less: a heartbeat has left
/// far more of it.
const ACK_LEASE_PART: u32 = 10;

/// Queues that are paid by the call: what is sent to one of them, or acknowledged, by several callers
/// within a short time goes in one call. Nothing above them batches.
pub(super) struct GatheredQueue {
    calls: Arc<dyn Queue>,
    sends: Batchers<NewMessage>,
    acks: Batchers<ReceiptHandle>,
    /// The last lease of each queue.
    leases: Mutex<BTreeMap<QueueName, Duration>>,
}

/// A batcher for each queue.
struct Batchers<T> {
    call: Call<T>,
    size_bytes: fn(&T) -> usize,
    by_queue: Mutex<BTreeMap<QueueName, Batcher<T, Answer>>>,
}

/// A call for a batch, with an answer for each entry.
type Call<T> = Arc<dyn Fn(QueueName, Vec<T>) -> BoxFuture<'static, Answers> + Send + Sync>;
type Answers = PortResult<Vec<PortResult<()>>>;
/// The error of the whole call, or what became of one entry.
type Answer = PortResult<PortResult<()>>;

impl GatheredQueue {
    /// The same queues as `calls` has.
    pub(super) fn new(calls: Arc<dyn Queue>) -> Self {
        let (sender, acks) = (Arc::clone(&calls), Arc::clone(&calls));
        let send = move |queue, messages: Vec<_>| -> BoxFuture<'static, Answers> {
            let sender = Arc::clone(&sender);
            Box::pin(async move { sender.send(&queue, &messages).await })
        };
        let ack = move |queue, receipts: Vec<_>| -> BoxFuture<'static, Answers> {
            let acks = Arc::clone(&acks);
            Box::pin(async move { acks.ack(&queue, &receipts).await })
        };
        Self {
            calls,
            sends: Batchers::new(Arc::new(send), messages::size_bytes),
            acks: Batchers::new(Arc::new(ack), |_| 0),
            leases: Mutex::default(),
        }
    }

    /// How long what was received from `queue` may wait to be acknowledged.
    fn ack_linger(&self, queue: &QueueName) -> Duration {
        let leases = self.leases.lock().expect("no holder panics");
        let part = leases.get(queue).map(|lease| *lease / ACK_LEASE_PART);
        part.unwrap_or_default().min(ACK_LINGER)
    }
}

#[async_trait]
impl Queue for GatheredQueue {
    async fn send(&self, queue: &QueueName, messages: &[NewMessage]) -> Answers {
        check_batch(messages)?;
        let linger = messages.iter().map(|message| message.linger).min().unwrap_or_default();
        self.sends.add(queue, messages, linger.clamp(SEND_LINGER, MAX_SEND_LINGER)).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>> {
        self.leases.lock().expect("no holder panics").insert(queue.clone(), lease);
        self.calls.receive(queue, max, wait, lease).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> Answers {
        self.calls.extend(queue, receipts, lease).await
    }

    async fn ack(&self, queue: &QueueName, receipts: &[ReceiptHandle]) -> Answers {
        check_batch(receipts)?;
        self.acks.add(queue, receipts, self.ack_linger(queue)).await
    }

    fn dlq(&self, queue: &QueueName) -> Option<QueueName> {
        self.calls.dlq(queue)
    }

    async fn depth(&self, queue: &QueueName) -> PortResult<Depth> {
        self.calls.depth(queue).await
    }

    async fn backlog(&self, queue: &QueueName, depth: Depth) -> PortResult<Option<Backlog>> {
        self.calls.backlog(queue, depth).await
    }
}

impl<T: Clone + Send + 'static> Batchers<T> {
    fn new(call: Call<T>, size_bytes: fn(&T) -> usize) -> Self {
        Self { call, size_bytes, by_queue: Mutex::default() }
    }

    /// Adds `items` to what goes to `queue` within `linger`, and gives the answer for each, or the error
    /// of the call if there was none for any.
    async fn add(&self, queue: &QueueName, items: &[T], linger: Duration) -> Answers {
        let batcher = self.batcher(queue);
        let adds = items.iter().map(|item| {
            let size_bytes = (self.size_bytes)(item);
            batcher.add_sized(item.clone(), size_bytes, linger)
        });
        let ended = || PortError::transient("calling a queue for several", "there was no answer");
        let answers = join_all(adds).await.into_iter();
        let answers: Vec<Answer> =
            answers.map(|answer| answer.unwrap_or_else(|| Err(ended()))).collect();
        if answers.iter().all(Result::is_err) {
            return answers.into_iter().collect();
        }
        Ok(answers.into_iter().map(Result::flatten).collect())
    }

    fn batcher(&self, queue: &QueueName) -> Batcher<T, Answer> {
        let mut by_queue = self.by_queue.lock().expect("no holder panics");
        let start = || {
            let (call, queue) = (Arc::clone(&self.call), queue.clone());
            Batcher::start(LIMITS, move |items: Vec<T>| {
                let count = items.len();
                let called = call(queue.clone(), items);
                let answers = async move {
                    match called.await {
                        Ok(answers) => answers.into_iter().map(Ok).collect(),
                        Err(error) => vec![Err(error); count],
                    }
                };
                answers.boxed()
            })
        };
        by_queue.entry(queue.clone()).or_insert_with(start).clone()
    }
}
