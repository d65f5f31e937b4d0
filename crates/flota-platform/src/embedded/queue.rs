use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use flota_core::{
    PackKey, PortResult, QueueName,
    limits::{MAX_POLL_WAIT, MAX_QUEUE_BATCH},
    ports::{
        Backlog, Clock, Delivery, Depth, NewMessage, Queue, ReceiptHandle,
        queue_bounds::{check_batch, check_lease, check_message},
    },
};
use tokio::time::{self, Instant};

use super::{database::Database, messages, notify::Notifiers};

/// A waiting receive looks at least so often, should a wake be lost or the clock jump.
const LONGEST_BLINDNESS: Duration = Duration::from_secs(1);

/// Queues in `queue.sqlite`.
pub(super) struct EmbeddedQueue {
    database: Arc<Database>,
    notifiers: Notifiers,
    clock: Arc<dyn Clock>,
}

impl EmbeddedQueue {
    pub(super) fn new(
        database: Arc<Database>,
        notifiers: Notifiers,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { database, notifiers, clock }
    }

    /// How long until a message may be visible. It only reads, so that waiting costs no lock.
    async fn next(&self, queue: &QueueName) -> PortResult<Option<Duration>> {
        let (queue, now) = (queue.clone(), self.clock.now());
        let read = move |connection: &_| messages::next(connection, queue.as_str(), now);
        self.database.read("looking at a queue", read).await
    }

    async fn take(
        &self,
        queue: &QueueName,
        max: usize,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>> {
        let (queue, now) = (queue.clone(), self.clock.now());
        let write =
            move |connection: &_| messages::take(connection, queue.as_str(), max, now, lease);
        self.database.write("receiving messages", write).await
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(messages)?;
        let checks: Vec<PortResult<()>> = messages.iter().map(check_message).collect();
        let pairs = messages.iter().zip(&checks);
        let sent: Vec<NewMessage> =
            pairs.filter(|(_, check)| check.is_ok()).map(|(message, _)| message.clone()).collect();
        if !sent.is_empty() {
            let wake = self.notifiers.prepare(queue)?;
            let (queue, now) = (queue.clone(), self.clock.now());
            let write =
                move |connection: &_| messages::send(connection, queue.as_str(), &sent, now);
            self.database.write_then("sending messages", write, move |()| wake.ring()).await?;
        }
        Ok(checks)
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
        let mut woken = self.notifiers.listen(queue);
        loop {
            woken.mark_unchanged();
            let next = self.next(queue).await?;
            let is_visible = next == Some(Duration::ZERO);
            if is_visible {
                let deliveries = self.take(queue, max.min(MAX_QUEUE_BATCH), lease).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
            }
            let now = Instant::now();
            if now >= end {
                return Ok(Vec::new());
            }
            if is_visible {
                // Another took it in between; what is next is to be looked up again.
                continue;
            }
            let blind = next.unwrap_or(LONGEST_BLINDNESS).min(LONGEST_BLINDNESS);
            tokio::select! {
                _ = woken.changed() => {}
                () = time::sleep_until(end.min(now + blind)) => {}
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
        let wake = self.notifiers.prepare(queue)?;
        let (queue, receipts, now) = (queue.clone(), receipts.to_vec(), self.clock.now());
        let write = move |connection: &_| {
            messages::extend(connection, queue.as_str(), &receipts, now, lease)
        };
        let after = move |extended: &messages::Extended| {
            if extended.is_earlier {
                wake.ring();
            }
        };
        let extended = self.database.write_then("extending leases", write, after).await?;
        Ok(extended.results)
    }

    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(receipts)?;
        let (queue, acknowledged) = (queue.clone(), receipts.to_vec());
        let write = move |connection: &_| messages::ack(connection, queue.as_str(), &acknowledged);
        self.database.write("acknowledging messages", write).await?;
        Ok(receipts.iter().map(|_| Ok(())).collect())
    }

    async fn depth(&self, queue: &QueueName) -> PortResult<Depth> {
        let (queue, now) = (queue.clone(), self.clock.now());
        let read = move |connection: &_| messages::depth(connection, queue.as_str(), now);
        self.database.read("counting messages", read).await
    }

    async fn backlog(&self, queue: &QueueName, _depth: Depth) -> PortResult<Option<Backlog>> {
        let queue = queue.clone();
        let read = move |connection: &_| messages::backlog(connection, queue.as_str());
        self.database.read("counting tasks", read).await.map(Some)
    }

    async fn holds(&self, packs: &[PackKey]) -> PortResult<Option<Vec<bool>>> {
        let packs = packs.to_vec();
        let read = move |connection: &_| messages::holds(connection, &packs);
        self.database.read("looking for messages", read).await.map(Some)
    }
}
