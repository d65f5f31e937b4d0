use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    ModelName, PackKey, PortResult, QueueName,
    limits::{MAX_LEASE, MAX_POLL_WAIT, MAX_QUEUE_BATCH},
    ports::{
        Backlog, Clock, Delivery, Depth, NewMessage, Queue, ReceiptHandle,
        queue_bounds::{CLOCK_TOLERANCE, check_batch, check_lease, check_message, lost_lease},
    },
};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

/// Queues whose leases run on the clock that they are given.
pub(super) struct MemoryQueue {
    clock: Arc<dyn Clock>,
    queues: Mutex<BTreeMap<QueueName, Messages>>,
    latest: Mutex<Timestamp>,
    // Changes whenever a message may have become visible earlier than it was to.
    changed: watch::Sender<()>,
}

/// The messages of one queue.
#[derive(Default)]
struct Messages {
    by_id: BTreeMap<u64, Message>,
    by_time: BTreeSet<(Timestamp, u64)>,
    last_id: u64,
}

struct Message {
    body: String,
    sent_at: Timestamp,
    visible_at: Timestamp,
    receive_count: u32,
    pack: Option<PackKey>,
    tasks: BTreeMap<ModelName, u32>,
}

impl MemoryQueue {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let latest = Mutex::new(clock.now());
        Self { clock, queues: Mutex::default(), latest, changed: watch::Sender::new(()) }
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<QueueName, Messages>> {
        self.queues.lock().expect("nothing panics under this lock")
    }

    /// Deletes messages that were sent before `before` and that nobody holds at `now`; how many.
    pub(super) fn delete_sent_before(&self, before: Timestamp, now: Timestamp) -> usize {
        let mut count = 0;
        for messages in self.queues().values_mut() {
            let is_left = |message: &Message| message.sent_at < before && message.visible_at <= now;
            let left = messages.by_id.iter().filter(|(_, message)| is_left(message));
            let left: Vec<(Timestamp, u64)> = left.map(|(id, it)| (it.visible_at, *id)).collect();
            for (visible_at, id) in left {
                messages.by_time.remove(&(visible_at, id));
                messages.by_id.remove(&id);
                count += 1;
            }
        }
        count
    }

    /// Where the clock was put back, messages are shown as much earlier, and those that would then wait
    /// longer than any lease at once.
    fn notice(&self, queues: &mut BTreeMap<QueueName, Messages>, now: Timestamp) {
        let mut latest = self.latest.lock().expect("nothing panics under this lock");
        let back = latest.duration_since(now);
        if back > SignedDuration::ZERO && back.unsigned_abs() <= CLOCK_TOLERANCE {
            return;
        }
        *latest = now;
        if back.is_negative() {
            return;
        }
        for queue in queues.values_mut() {
            let sent_ahead = queue.by_id.values_mut().filter(|message| message.sent_at > now);
            sent_ahead.for_each(|message| message.sent_at -= back);
            let ahead = queue.by_id.iter_mut().filter(|(_, message)| message.visible_at > now);
            for (_, message) in ahead {
                let is_impossible = message.visible_at > after(now, MAX_LEASE);
                message.visible_at =
                    if is_impossible { now } else { now.max(message.visible_at - back) };
            }
            queue.by_time = queue.by_id.iter().map(|(id, it)| (it.visible_at, *id)).collect();
        }
    }

    /// Takes what is visible now; where nothing is, how long until something may be.
    fn take(
        &self,
        queue: &QueueName,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Delivery>, Option<Duration>> {
        let now = self.clock.now();
        let mut queues = self.queues();
        self.notice(&mut queues, now);
        let messages = queues.get_mut(queue).ok_or(None)?;
        let visible = messages.visible(now, max);
        if visible.is_empty() {
            let next = messages.by_time.first().map(|(at, _)| at.duration_since(now));
            return Err(next.and_then(|wait| Duration::try_from(wait).ok()));
        }
        Ok(visible.into_iter().map(|id| messages.lease(id, after(now, lease))).collect())
    }
}

impl Messages {
    fn visible(&self, now: Timestamp, max: usize) -> Vec<u64> {
        let longest = after(now, MAX_LEASE);
        let due = self.by_time.range(..=(now, u64::MAX));
        let impossible = self.by_time.range((longest, u64::MAX)..);
        due.chain(impossible).map(|(_, id)| *id).take(max).collect()
    }

    fn insert(&mut self, message: Message) {
        self.last_id += 1;
        self.by_time.insert((message.visible_at, self.last_id));
        self.by_id.insert(self.last_id, message);
    }

    fn lease(&mut self, id: u64, until: Timestamp) -> Delivery {
        self.show(id, until);
        let message = self.by_id.get_mut(&id).expect("both maps hold the same messages");
        message.receive_count = message.receive_count.saturating_add(1);
        Delivery {
            receipt: ReceiptHandle(format!("{id}.{}", message.receive_count)),
            body: message.body.clone(),
            receive_count: message.receive_count,
            sent_at: message.sent_at,
        }
    }

    fn show(&mut self, id: u64, at: Timestamp) {
        let message = self.by_id.get_mut(&id).expect("both maps hold the same messages");
        self.by_time.remove(&(message.visible_at, id));
        message.visible_at = at;
        self.by_time.insert((at, id));
    }

    /// The message whose latest delivery has this receipt.
    fn delivered(&self, receipt: &ReceiptHandle) -> Option<(u64, &Message)> {
        let (id, receive_count) = receipt.0.split_once('.')?;
        let id = id.parse().ok()?;
        let message = self.by_id.get(&id)?;
        (message.receive_count.to_string() == receive_count).then_some((id, message))
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(messages)?;
        let now = self.clock.now();
        let mut queues = self.queues();
        self.notice(&mut queues, now);
        let sent = queues.entry(queue.clone()).or_default();
        let results = messages.iter().map(|message| {
            check_message(message)?;
            sent.insert(Message {
                body: message.body.clone(),
                sent_at: now,
                visible_at: after(now, message.delay),
                receive_count: 0,
                pack: message.pack,
                tasks: message.tasks.clone(),
            });
            Ok(())
        });
        let results = results.collect();
        self.changed.send_replace(());
        Ok(results)
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>> {
        check_lease(lease)?;
        let end = Instant::now() + wait.min(MAX_POLL_WAIT);
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let next = match self.take(queue, max.min(MAX_QUEUE_BATCH), lease) {
                Ok(deliveries) => return Ok(deliveries),
                Err(next) => next,
            };
            let now = Instant::now();
            if now >= end {
                return Ok(Vec::new());
            }
            let look_at = next.map_or(end, |next| end.min(now + next));
            tokio::select! {
                _ = changed.changed() => {}
                () = time::sleep_until(look_at) => {}
            }
        }
    }

    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(receipts)?;
        check_lease(lease)?;
        let now = self.clock.now();
        let mut queues = self.queues();
        let messages = queues.entry(queue.clone()).or_default();
        let results = receipts.iter().map(|receipt| {
            let (id, message) = messages.delivered(receipt).ok_or_else(lost_lease)?;
            if message.visible_at <= now || message.visible_at > after(now, MAX_LEASE) {
                return Err(lost_lease());
            }
            messages.show(id, after(now, lease));
            Ok(())
        });
        let results = results.collect();
        self.changed.send_replace(());
        Ok(results)
    }

    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(receipts)?;
        let mut queues = self.queues();
        let messages = queues.entry(queue.clone()).or_default();
        let results = receipts.iter().map(|receipt| {
            if let Some((id, message)) = messages.delivered(receipt) {
                let visible_at = message.visible_at;
                messages.by_time.remove(&(visible_at, id));
                messages.by_id.remove(&id);
            }
            Ok(())
        });
        Ok(results.collect())
    }

    /// One for each queue, as SQS has it, though nothing ever falls into it by itself: it is for
    /// tests of what empties it.
    fn dlq(&self, queue: &QueueName) -> Option<QueueName> {
        Some(queue.dlq())
    }

    async fn depth(&self, queue: &QueueName) -> PortResult<Depth> {
        let now = self.clock.now();
        let longest = after(now, MAX_LEASE);
        let mut depth = Depth::default();
        for message in self.queues().get(queue).into_iter().flat_map(|q| q.by_id.values()) {
            if message.visible_at <= now || message.visible_at > longest {
                depth.ready += 1;
            } else if message.receive_count > 0 {
                depth.in_flight += 1;
            } else {
                depth.delayed += 1;
            }
        }
        Ok(depth)
    }

    async fn backlog(&self, queue: &QueueName, _depth: Depth) -> PortResult<Option<Backlog>> {
        let mut backlog = Backlog { is_exact: true, ..Backlog::default() };
        if let Some(messages) = self.queues().get(queue) {
            for (model, count) in messages.by_id.values().flat_map(|message| &message.tasks) {
                *backlog.tasks.entry(model.clone()).or_default() += u64::from(*count);
            }
            let first = messages.by_time.first();
            backlog.oldest_sent_at = first.map(|(_, id)| messages.by_id[id].sent_at);
        }
        Ok(Some(backlog))
    }

    async fn holds(&self, packs: &[PackKey]) -> PortResult<Option<Vec<bool>>> {
        let queues = self.queues();
        let messages = queues.values().flat_map(|queue| queue.by_id.values());
        let held: BTreeSet<PackKey> = messages.filter_map(|message| message.pack).collect();
        Ok(Some(packs.iter().map(|pack| held.contains(pack)).collect()))
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.saturating_add(wait).expect("a saturating sum of absolute time does not fail")
}

#[cfg(test)]
mod tests {
    use flota_core::Priority;

    use super::*;
    use crate::SeededClock;

    const LEASE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_waiting_receive_wakes_when_a_delay_or_a_lease_ends() {
        let queue = MemoryQueue::new(Arc::new(SeededClock::new(1)));
        let name =
            flota_core::QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal);
        let delay = Duration::from_secs(3);
        let message = NewMessage { delay, ..NewMessage::new("a", "") };
        queue.send(&name, &[message]).await.unwrap();
        let begun = Instant::now();
        for (receive_count, ends_after) in [(1, delay), (2, delay + LEASE)] {
            let received = queue.receive(&name, 1, MAX_POLL_WAIT, LEASE).await.unwrap();
            assert_eq!(received[0].receive_count, receive_count);
            assert_eq!(begun.elapsed().as_secs(), ends_after.as_secs());
        }
        let waited = queue.receive(&name, 1, LEASE / 2, LEASE).await.unwrap();
        assert!(waited.is_empty(), "the wait ended first");
    }
}
