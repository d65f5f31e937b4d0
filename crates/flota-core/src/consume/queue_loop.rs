//! The loop over one queue.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    CALL_BOUND, ConsumeSettings, Lease, PollHealth,
    handler::{DecodeDelivery, Work},
    lease::Leases,
    slots::QueueSlots,
};
use crate::{
    PortError, PortResult, QueueName, backoff,
    limits::{MAX_PACK_TASKS, MAX_QUEUE_BATCH},
    ports::{Clock, Delivery, Queue, ReceiptHandle},
    with_causes,
};

/// First wait after a failed poll or a failed delivery.
const BACKOFF_BASE: Duration = Duration::from_millis(200);
/// Longest wait after a failed poll or a failed delivery.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// How much longer than its own wait a receive may take before the loop abandons it.
const RECEIVE_GRACE: Duration = Duration::from_secs(10);
/// Most messages whose acknowledgement may be pending: adapters may delay an acknowledgement to
/// batch it.
const MAX_ACKS: u32 = 640;

/// The loop over one queue, and its deliveries in flight.
pub(super) struct QueueLoop {
    queue: Arc<dyn Queue>,
    name: QueueName,
    clock: Arc<dyn Clock>,
    lease: Duration,
    wait: Duration,
    drain: Duration,
    handler: Box<dyn DecodeDelivery>,
    health: Arc<PollHealth>,
    leases: Arc<Leases>,
    slots: QueueSlots,
    /// One permit per pending acknowledgement.
    acks: Arc<Semaphore>,
}

/// A decoded delivery whose lease is being extended.
struct HeldDelivery {
    id: u64,
    receive_count: u32,
    weight: usize,
    work: Work,
    lost: CancellationToken,
}

impl QueueLoop {
    /// Creates a loop over the queue `name` without running it.
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        name: QueueName,
        clock: Arc<dyn Clock>,
        settings: &ConsumeSettings,
        handler: Box<dyn DecodeDelivery>,
        health: Arc<PollHealth>,
        slots: QueueSlots,
    ) -> Self {
        let ConsumeSettings { lease, max_lease, wait, drain, .. } = *settings;
        let leases = Arc::new(Leases::new(queue.clone(), name.clone(), lease, max_lease));
        let acks = Arc::new(Semaphore::new(MAX_ACKS as usize));
        Self { queue, name, clock, lease, wait, drain, handler, health, leases, slots, acks }
    }

    /// Runs until `stop` is cancelled, then drains. Errors do not end it.
    pub(super) async fn run(self, stop: CancellationToken) {
        let leases = self.leases.clone();
        let heartbeat = tokio::spawn(async move { leases.keep().await });
        let mut in_flight = JoinSet::new();
        self.receive_until(&stop, &mut in_flight).await;

        let drained = async { while in_flight.join_next().await.is_some() {} };
        if time::timeout(self.drain, drained).await.is_err() {
            let receipts = self.leases.abandon();
            warn!(queue = %self.name, message_count = receipts.len(),
                "draining took too long, releasing what is unfinished");
            self.leases.release(&receipts, Duration::ZERO).await;
            in_flight.shutdown().await;
        }
        heartbeat.abort();
        if time::timeout(self.drain, self.acks.acquire_many(MAX_ACKS)).await.is_err() {
            warn!(queue = %self.name,
                "acknowledging did not end in time, some messages may come again");
        }
    }

    async fn receive_until(&self, stop: &CancellationToken, in_flight: &mut JoinSet<()>) {
        let (mut next_id, mut failures) = (0, 0);
        let mut usual_weight = MAX_PACK_TASKS;
        while let Some(free) = self.free_slots(stop).await {
            let (since, began) = (Instant::now(), self.clock.now());
            let received = self.receive((free / usual_weight).clamp(1, MAX_QUEUE_BATCH)).await;
            // A poll that returns nothing at once counts as a failure, or the loop would spin.
            let is_empty = matches!(&received, Ok(deliveries) if deliveries.is_empty());
            let is_hasty = is_empty && since.elapsed() < self.wait / 2;
            failures = if received.is_err() || is_hasty { failures + 1 } else { 0 };
            match received {
                Ok(deliveries) => {
                    self.health.polled(
                        self.slots.queue(),
                        (!is_hasty).then_some(began),
                        &deliveries,
                    );
                    for delivery in deliveries {
                        next_id += 1;
                        let held = self.hold(next_id, delivery, since);
                        usual_weight = (usual_weight + held.weight).div_ceil(2);
                        in_flight.spawn(self.work(held, stop));
                    }
                }
                Err(error) => warn!(queue = %self.name, %error, "receiving failed"),
            }
            while in_flight.try_join_next().is_some() {}
            if failures > 0 {
                let wait = backoff(failures, BACKOFF_BASE, BACKOFF_CAP, self.clock.random());
                let _ = time::timeout(wait, stop.cancelled()).await;
            }
        }
    }

    /// Waits until enough slots are free to make a poll worthwhile. `None` once the loop has to
    /// stop.
    async fn free_slots(&self, stop: &CancellationToken) -> Option<usize> {
        loop {
            let freed = self.slots.freed();
            if stop.is_cancelled() {
                return None;
            }
            if let Some(free) = self.slots.for_poll() {
                return Some(free);
            }
            tokio::select! {
                () = freed => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// Polls in a task of its own: dropping a receive could lose the message that it was about to
    /// return.
    async fn receive(&self, max: usize) -> PortResult<Vec<Delivery>> {
        let (queue, name) = (self.queue.clone(), self.name.clone());
        let (wait, lease) = (self.wait, self.lease);
        self.slots.begin_poll();
        let poll = tokio::spawn(async move { queue.receive(&name, max, wait, lease).await });
        let received = match time::timeout(self.wait + RECEIVE_GRACE, poll).await {
            Ok(Ok(received)) => received,
            Ok(Err(panic)) => Err(PortError::permanent("receiving panicked", panic)),
            Err(late) => Err(PortError::transient("the receive did not end in time", late)),
        };
        self.slots.end_poll(received.as_ref().is_ok_and(|deliveries| !deliveries.is_empty()));
        received
    }

    /// Starts to extend the lease of a delivery whose poll began at `since`, and decodes it.
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
    ) -> impl Future<Output = ()> + Send + 'static {
        let HeldDelivery { id, receive_count, weight, work, lost } = delivery;
        let slots = self.slots.hold(weight);
        let lease = Lease { lost, stop: stop.clone(), slots: slots.clone() };
        let (leases, acks) = (self.leases.clone(), self.acks.clone());
        let (clock, queue, name) = (self.clock.clone(), self.queue.clone(), self.name.clone());
        async move {
            let is_done = if lease.stopping() {
                Ok(false)
            } else {
                // Runs in a task of its own, so that a panic becomes an error and does not end the
                // loop.
                tokio::spawn(work(lease)).await.unwrap_or_else(|panic| {
                    Err(PortError::permanent("handling a message panicked", panic))
                })
            };
            // The lease must not be extended any more when the message is acknowledged or released.
            let receipt = leases.end(id);
            match (is_done, receipt) {
                (Ok(true), Some(receipt)) => {
                    let turn = acks.acquire_owned().await.expect("nobody closes it");
                    // Runs in a task of its own, so that the next message does not wait for it.
                    tokio::spawn(async move {
                        ack(queue.as_ref(), &name, receipt).await;
                        drop(turn);
                    });
                }
                (Ok(false), Some(receipt)) => {
                    leases.release(&[receipt], Duration::ZERO).await;
                }
                (Err(error), receipt) => {
                    let error = with_causes(&error);
                    warn!(queue = %name, receive_count, error, "handling a message failed");
                    let wait = backoff(receive_count, BACKOFF_BASE, BACKOFF_CAP, clock.random());
                    leases.release(receipt.as_slice(), wait).await;
                }
                (Ok(_), None) => {}
            }
            slots.release();
        }
    }
}

/// Acknowledges a message. It does not retry: if it fails, the message is delivered again, and
/// handling it again has no effect.
async fn ack(queue: &dyn Queue, name: &QueueName, receipt: ReceiptHandle) {
    let acked: PortResult<()> = match time::timeout(CALL_BOUND, queue.ack(name, &[receipt])).await {
        Ok(acked) => acked.and_then(|results| results.into_iter().collect()),
        Err(late) => Err(PortError::transient("the acknowledgement had no answer", late)),
    };
    if let Err(error) = acked {
        let error = with_causes(&error);
        warn!(queue = %name, error, "acknowledging a message failed, it may come again");
    }
}
