use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Lease, PollHealth, lease::Leases, settler::settle_all, slots::Slots};
use crate::{
    PortError, PortResult, QueueName, backoff,
    limits::{MAX_PACK_TASKS, MAX_QUEUE_BATCH},
    ports::{Clock, Delivery, Queue},
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
    /// done in four seconds. Fuller receives cost less, and nobody is to wait long for what is in hand.
    pub min_capacity: usize,
    /// How long a delivery is leased, and by how much a heartbeat extends it.
    pub lease: Duration,
    /// The cap on a lease, from its receipt.
    pub max_lease: Duration,
    /// How long a poll waits for a message.
    pub wait: Duration,
    /// How long draining may take before what is in hand is given back unfinished.
    pub drain: Duration,
}

/// What is done with a delivery. Effects must be durable before it answers [`Handled::Settle`].
#[async_trait]
pub trait Handler: Send + Sync {
    /// How many tasks the delivery holds, at least 1.
    fn weigh(&self, delivery: &Delivery) -> usize;

    /// Does the work. An error is logged once by the loop, and the delivery given back with a
    /// jittered wait.
    async fn handle(&self, delivery: Delivery, lease: Lease) -> PortResult<Handled>;
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// All that follows from it is durable.
    Settle,
    /// It was not begun: others may have it at once.
    GiveBack,
}

/// The loop: receive for free slots, keep the leases, settle after the effect, back off, drain.
pub struct Consumer {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    settings: ConsumeSettings,
    handler: Arc<dyn Handler>,
    health: Arc<PollHealth>,
    leases: Arc<Leases>,
    slots: Arc<Slots>,
}

impl Consumer {
    /// A loop that is not running yet.
    pub fn new(
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        settings: ConsumeSettings,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let leases =
            Leases::new(queue.clone(), settings.queue.clone(), settings.lease, settings.max_lease);
        let slots = Slots::new(settings.min_capacity, settings.capacity);
        let (health, leases) = (Arc::default(), Arc::new(leases));
        Self { queue, clock, settings, handler, health, leases, slots }
    }

    /// When the loop last heard from its queue.
    pub fn health(&self) -> Arc<PollHealth> {
        self.health.clone()
    }

    /// Runs until `stop`, then drains. No error ends it.
    pub async fn run(self, stop: CancellationToken) {
        let (settle, settled) = mpsc::channel(self.settings.capacity.max(MAX_QUEUE_BATCH));
        let settler =
            tokio::spawn(settle_all(self.queue.clone(), self.settings.queue.clone(), settled));
        let leases = self.leases.clone();
        let heartbeat = tokio::spawn(async move { leases.keep().await });
        let mut in_hand = JoinSet::new();
        self.receive_until(&stop, &settle, &mut in_hand).await;

        let drained = async { while in_hand.join_next().await.is_some() {} };
        if time::timeout(self.settings.drain, drained).await.is_err() {
            let receipts = self.leases.abandon();
            warn!(queue = %self.settings.queue, message_count = receipts.len(),
                "draining took too long, giving back what is unfinished");
            self.leases.give_back(&receipts, Duration::ZERO).await;
            in_hand.shutdown().await;
        }
        heartbeat.abort();
        drop(settle);
        match time::timeout(self.settings.drain, settler).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(queue = %self.settings.queue, %error,
                "the settler panicked, its messages come again"),
            Err(_) => warn!(queue = %self.settings.queue,
                "settling did not end in time, some messages may come again"),
        }
    }

    async fn receive_until(
        &self,
        stop: &CancellationToken,
        settle: &mpsc::Sender<crate::ports::Receipt>,
        in_hand: &mut JoinSet<()>,
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
                        let weight = self.handler.weigh(&delivery).max(1);
                        usual_weight = (usual_weight + weight).div_ceil(2);
                        next_id += 1;
                        in_hand.spawn(self.work(next_id, delivery, weight, since, stop, settle));
                    }
                }
                Err(error) => warn!(queue = %self.settings.queue, %error, "receiving failed"),
            }
            while in_hand.try_join_next().is_some() {}
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

    /// Handles one delivery from receipt to settling.
    fn work(
        &self,
        id: u64,
        delivery: Delivery,
        weight: usize,
        since: Instant,
        stop: &CancellationToken,
        settle: &mpsc::Sender<crate::ports::Receipt>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let lost = self.leases.hold(id, delivery.receipt.clone(), since);
        let slots = self.slots.hold(weight);
        let lease = Lease { lost, stop: stop.clone(), slots: slots.clone() };
        let (handler, leases) = (self.handler.clone(), self.leases.clone());
        let (clock, queue, settle) =
            (self.clock.clone(), self.settings.queue.clone(), settle.clone());
        async move {
            let receive_count = delivery.receive_count;
            let handled = if lease.stopping() {
                Ok(Handled::GiveBack)
            } else {
                // A task of its own, so that a panic is an error and not the end of the loop.
                let work = tokio::spawn(async move { handler.handle(delivery, lease).await });
                work.await.unwrap_or_else(|panic| {
                    Err(PortError::permanent("handling a message panicked", panic))
                })
            };
            // The heartbeat ends before the message is settled or given back.
            let receipt = leases.release(id);
            match (handled, receipt) {
                (Ok(Handled::Settle), Some(receipt)) => {
                    // The settler outlives all work; it is gone only where it panicked.
                    let _ = settle.send(receipt).await;
                }
                (Ok(Handled::GiveBack), Some(receipt)) => {
                    leases.give_back(&[receipt], Duration::ZERO).await;
                }
                (Err(error), receipt) => {
                    let error = with_causes(&error);
                    warn!(%queue, receive_count, error, "handling a message failed");
                    let wait = backoff(receive_count, BACKOFF_BASE, BACKOFF_CAP, clock.random());
                    leases.give_back(receipt.as_slice(), wait).await;
                }
                (Ok(_), None) => {}
            }
            slots.release();
        }
    }
}
