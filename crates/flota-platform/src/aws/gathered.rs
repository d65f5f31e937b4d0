use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    PortError, PortResult, QueueName,
    consume::gather,
    limits::MAX_QUEUE_BATCH,
    ports::{Backlog, Delivery, Depth, NewMessage, Queue, ReceiptHandle},
};
use futures::future::{BoxFuture, join_all};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

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
/// within a short time goes in one call.
pub(super) struct GatheredQueue {
    calls: Arc<dyn Queue>,
    sends: Gatherers<NewMessage>,
    acks: Gatherers<ReceiptHandle>,
    /// The last lease of each queue.
    leases: Mutex<BTreeMap<QueueName, Duration>>,
}

/// One task for each queue, which gathers what is to go there.
struct Gatherers<T> {
    call: Call<T>,
    by_queue: Mutex<BTreeMap<QueueName, mpsc::Sender<Entry<T>>>>,
}

/// A call for a batch, with an answer for each entry.
type Call<T> = Arc<dyn Fn(QueueName, Vec<T>) -> BoxFuture<'static, Answers> + Send + Sync>;
type Answers = PortResult<Vec<PortResult<()>>>;

struct Entry<T> {
    item: T,
    /// When it waits for others no longer.
    due: Instant,
    /// Takes the error of the whole call, or what became of this entry.
    reply: oneshot::Sender<PortResult<PortResult<()>>>,
}

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
            sends: Gatherers::new(Arc::new(send)),
            acks: Gatherers::new(Arc::new(ack)),
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
        if messages.len() >= MAX_QUEUE_BATCH {
            return self.calls.send(queue, messages).await;
        }
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
        if receipts.len() >= MAX_QUEUE_BATCH {
            return self.calls.ack(queue, receipts).await;
        }
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

impl<T: Clone + Send + 'static> Gatherers<T> {
    fn new(call: Call<T>) -> Self {
        Self { call, by_queue: Mutex::default() }
    }

    /// Adds `items` to what goes to `queue` within `linger`, and gives the answer for each, or the error
    /// of the call if there was none for any.
    async fn add(&self, queue: &QueueName, items: &[T], linger: Duration) -> Answers {
        let (gatherer, due) = (self.gatherer(queue), Instant::now() + linger);
        let mut replies = Vec::with_capacity(items.len());
        for item in items {
            let (reply, answer) = oneshot::channel();
            // Where nobody gathers any more, the answer says so.
            let _ = gatherer.send(Entry { item: item.clone(), due, reply }).await;
            replies.push(answer);
        }
        let ended = |error| PortError::transient("calling a queue for several", error);
        let answers: Vec<_> = join_all(replies)
            .await
            .into_iter()
            .map(|reply| reply.unwrap_or_else(|error| Err(ended(error))))
            .collect();
        if answers.iter().all(Result::is_err) {
            return answers.into_iter().collect();
        }
        Ok(answers.into_iter().map(Result::flatten).collect())
    }

    fn gatherer(&self, queue: &QueueName) -> mpsc::Sender<Entry<T>> {
        let mut by_queue = self.by_queue.lock().expect("no holder panics");
        let start = || {
            let (entries, waiting) = mpsc::channel(MAX_QUEUE_BATCH);
            tokio::spawn(call_all(Arc::clone(&self.call), queue.clone(), waiting));
            entries
        };
        by_queue.entry(queue.clone()).or_insert_with(start).clone()
    }
}

/// Makes calls of what waits; the next may begin before the last has its answer.
async fn call_all<T: Send + 'static>(
    call: Call<T>,
    queue: QueueName,
    mut waiting: mpsc::Receiver<Entry<T>>,
) {
    loop {
        let batch = gather(&mut waiting, MAX_QUEUE_BATCH, |entry| entry.due).await;
        if batch.is_empty() {
            return;
        }
        let (items, replies): (Vec<T>, Vec<_>) =
            batch.into_iter().map(|entry| (entry.item, entry.reply)).unzip();
        let called = call(queue.clone(), items);
        tokio::spawn(async move {
            let answers = match called.await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); replies.len()],
            };
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(answer);
            }
        });
    }
}
