use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    Handler, Lease, PollHealth,
    acks::ack_all,
    handler::{DecodeDelivery, TypedHandler, UnreadableMessages, Work},
    lease::Leases,
    slots::Slots,
};
use crate::{
    PortError, PortResult, QueueName, backoff,
    limits::{MAX_PACK_TASKS, MAX_QUEUE_BATCH},
    ports::{Clock, DeadLetters, Delivery, Queue, ReceiptHandle},
    with_causes,
};

/// First wait after a failed poll or a failed delivery.
const BACKOFF_BASE: Duration = Duration::from_millis(200);
/// Longest wait after a failed poll or a failed delivery.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// How much longer than its wait a receive may take before the loop goes on without it.
const RECEIVE_GRACE: Duration = Duration::from_secs(10);

/// The part of the slots that must be free before a poll: polls are billed, and one for each slot
/// that falls free takes few messages each time.
const WORTH_A_POLL: usize = 3;

/// How to consume a queue.
#[derive(Debug, Clone)]
pub struct ConsumeSettings {
    /// The queue.
    pub queue: QueueName,
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

/// The loop: receive for free slots, decode, extend the leases, acknowledge after the effect, dead-letter
/// what cannot be decoded, back off, drain.
pub struct Consumer {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    settings: ConsumeSettings,
    handler: Box<dyn DecodeDelivery>,
    health: Arc<PollHealth>,
    leases: Arc<Leases>,
    slots: Arc<Slots>,
}

/// A delivery that is decoded, and whose lease is extended.
struct HeldDelivery {
    id: u64,
    receive_count: u32,
    weight: usize,
    work: Work,
    lost: CancellationToken,
}

impl Consumer {
    /// A loop that is not running yet. Messages that `handler` cannot decode go to `dead_letters`.
    pub fn new<H: Handler>(
        queue: Arc<dyn Queue>,
        dead_letters: Arc<dyn DeadLetters>,
        clock: Arc<dyn Clock>,
        settings: ConsumeSettings,
        handler: Arc<H>,
    ) -> Self {
        let leases =
            Leases::new(queue.clone(), settings.queue.clone(), settings.lease, settings.max_lease);
        let slots = Slots::new(settings.min_capacity, settings.capacity);
        let (health, leases) = (Arc::default(), Arc::new(leases));
        let unreadable = UnreadableMessages {
            dead_letters,
            clock: Arc::clone(&clock),
            queue: settings.queue.clone(),
        };
        let handler = Box::new(TypedHandler { handler, unreadable });
        Self { queue, clock, settings, handler, health, leases, slots }
    }

    /// When the loop last heard from its queue.
    pub fn health(&self) -> Arc<PollHealth> {
        self.health.clone()
    }

    /// Runs until `stop`, then drains. No error ends it.
    pub async fn run(self, stop: CancellationToken) {
        let (ack, acknowledged) = mpsc::channel(self.settings.capacity.max(MAX_QUEUE_BATCH));
        let acks =
            tokio::spawn(ack_all(self.queue.clone(), self.settings.queue.clone(), acknowledged));
        let leases = self.leases.clone();
        let heartbeat = tokio::spawn(async move { leases.keep().await });
        let mut in_flight = JoinSet::new();
        self.receive_until(&stop, &ack, &mut in_flight).await;

        let drained = async { while in_flight.join_next().await.is_some() {} };
        if time::timeout(self.settings.drain, drained).await.is_err() {
            let receipts = self.leases.abandon();
            warn!(queue = %self.settings.queue, message_count = receipts.len(),
                "draining took too long, releasing what is unfinished");
            self.leases.release(&receipts, Duration::ZERO).await;
            in_flight.shutdown().await;
        }
        heartbeat.abort();
        drop(ack);
        match time::timeout(self.settings.drain, acks).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(queue = %self.settings.queue, %error,
                "the task that acknowledges panicked, its messages come again"),
            Err(_) => warn!(queue = %self.settings.queue,
                "acknowledging did not end in time, some messages may come again"),
        }
    }

    async fn receive_until(
        &self,
        stop: &CancellationToken,
        ack: &mpsc::Sender<ReceiptHandle>,
        in_flight: &mut JoinSet<()>,
    ) {
        let (mut next_id, mut failures) = (0, 0);
        let mut usual_weight = MAX_PACK_TASKS;
        while let Some(free) = self.free_slots(stop).await {
            let (since, began) = (Instant::now(), self.clock.now());
            let received = self.receive((free / usual_weight).clamp(1, MAX_QUEUE_BATCH)).await;
            // A poll that ends at once with nothing is a fault too, or the loop would spin.
            let is_empty = matches!(&received, Ok(deliveries) if deliveries.is_empty());
            let is_hasty = is_empty && since.elapsed() < self.settings.wait / 2;
            failures = if received.is_err() || is_hasty { failures + 1 } else { 0 };
            match received {
                Ok(deliveries) => {
                    self.health.polled((!is_hasty).then_some(began), &deliveries);
                    for delivery in deliveries {
                        next_id += 1;
                        let held = self.hold(next_id, delivery, since);
                        usual_weight = (usual_weight + held.weight).div_ceil(2);
                        in_flight.spawn(self.work(held, stop, ack));
                    }
                }
                Err(error) => warn!(queue = %self.settings.queue, %error, "receiving failed"),
            }
            while in_flight.try_join_next().is_some() {}
            if failures > 0 {
                let wait = backoff(failures, BACKOFF_BASE, BACKOFF_CAP, self.clock.random());
                let _ = time::timeout(wait, stop.cancelled()).await;
            }
        }
    }

    /// Waits until a poll is worth its price; `None` once the loop is to stop.
    async fn free_slots(&self, stop: &CancellationToken) -> Option<usize> {
        loop {
            let freed = self.slots.freed();
            if stop.is_cancelled() {
                return None;
            }
            let (free, capacity) = self.slots.free();
            if free >= capacity.div_ceil(WORTH_A_POLL) {
                return Some(free);
            }
            tokio::select! {
                () = freed => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// One poll, in a task of its own: an abandoned one would swallow the next message.
    async fn receive(&self, max: usize) -> PortResult<Vec<Delivery>> {
        let (queue, settings) = (self.queue.clone(), self.settings.clone());
        let poll = tokio::spawn(async move {
            queue.receive(&settings.queue, max, settings.wait, settings.lease).await
        });
        match time::timeout(self.settings.wait + RECEIVE_GRACE, poll).await {
            Ok(Ok(received)) => received,
            Ok(Err(panic)) => Err(PortError::permanent("receiving panicked", panic)),
            Err(late) => Err(PortError::transient("the receive did not end in time", late)),
        }
    }

    /// Takes charge of a delivery that was received by a poll begun at `since`, and decodes it.
    fn hold(&self, id: u64, delivery: Delivery, since: Instant) -> HeldDelivery {
        let lost = self.leases.hold(id, delivery.receipt.clone(), since);
        let receive_count = delivery.receive_count;
        let (weight, work) = self.handler.decode(delivery);
        HeldDelivery { id, receive_count, weight, work, lost }
    }

    /// Handles one delivery, then acknowledges or releases it.
    fn work(
        &self,
        delivery: HeldDelivery,
        stop: &CancellationToken,
        ack: &mpsc::Sender<ReceiptHandle>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let HeldDelivery { id, receive_count, weight, work, lost } = delivery;
        let slots = self.slots.hold(weight);
        let lease = Lease { lost, stop: stop.clone(), slots: slots.clone() };
        let leases = self.leases.clone();
        let (clock, queue, ack) = (self.clock.clone(), self.settings.queue.clone(), ack.clone());
        async move {
            let is_done = if lease.stopping() {
                Ok(false)
            } else {
                // A task of its own, so that a panic is an error and not the end of the loop.
                tokio::spawn(work(lease)).await.unwrap_or_else(|panic| {
                    Err(PortError::permanent("handling a message panicked", panic))
                })
            };
            // The heartbeat ends before the message is acknowledged or released.
            let receipt = leases.end(id);
            match (is_done, receipt) {
                (Ok(true), Some(receipt)) => {
                    // The acknowledging task outlives all work; it is gone only if it panicked.
                    let _ = ack.send(receipt).await;
                }
                (Ok(false), Some(receipt)) => {
                    leases.release(&[receipt], Duration::ZERO).await;
                }
                (Err(error), receipt) => {
                    let error = with_causes(&error);
                    warn!(%queue, receive_count, error, "handling a message failed");
                    let wait = backoff(receive_count, BACKOFF_BASE, BACKOFF_CAP, clock.random());
                    leases.release(receipt.as_slice(), wait).await;
                }
                (Ok(_), None) => {}
            }
            slots.release();
        }
    }
}
