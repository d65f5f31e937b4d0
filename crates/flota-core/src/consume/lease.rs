use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{CALL_BOUND, slots::HeldSlots};
use crate::{
    PortError, QueueName,
    limits::MAX_QUEUE_BATCH,
    ports::{Queue, ReceiptHandle},
};

/// What a handler knows of the lease on its delivery.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) lost: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) slots: Arc<HeldSlots>,
}

impl Lease {
    /// What is left to do is to tell of it: from now on the delivery no longer counts as in flight, and
    /// another may be received. As many may be told of as may be in flight.
    pub fn reporting(&self) {
        self.slots.begin_report();
    }

    /// Ends when the lease is lost: the work is another's now, and its effects will be dropped.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the lease is lost.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Whether the loop drains: what has not begun is better released.
    pub fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }
}

struct Held {
    receipt: ReceiptHandle,
    deadline: Instant,
    cap: Instant,
    lost: CancellationToken,
}

/// All leases in flight, kept by one heartbeat.
pub(super) struct Leases {
    queue: Arc<dyn Queue>,
    name: QueueName,
    lease: Duration,
    max_lease: Duration,
    held: Mutex<BTreeMap<u64, Held>>,
    // A heartbeat under way must not lengthen what is being released, and releasing, which many
    // may do together, must not hold up a heartbeat for long.
    extending: tokio::sync::RwLock<()>,
}

impl Leases {
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        name: QueueName,
        lease: Duration,
        max_lease: Duration,
    ) -> Self {
        Self {
            queue,
            name,
            lease,
            max_lease,
            held: Mutex::default(),
            extending: tokio::sync::RwLock::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.held.lock().expect("nothing panics under this lock")
    }

    /// Takes charge of a lease whose receive began at `since`.
    pub(super) fn hold(
        &self,
        id: u64,
        receipt: ReceiptHandle,
        since: Instant,
    ) -> CancellationToken {
        let lost = CancellationToken::new();
        let held = Held {
            receipt,
            deadline: since + self.lease,
            cap: since + self.max_lease,
            lost: lost.clone(),
        };
        self.held().insert(id, held);
        lost
    }

    /// Stops keeping a lease; its receipt, unless it was lost.
    pub(super) fn end(&self, id: u64) -> Option<ReceiptHandle> {
        self.held().remove(&id).map(|held| held.receipt)
    }

    /// Declares every lease lost and returns the receipts.
    pub(super) fn abandon(&self) -> Vec<ReceiptHandle> {
        let held = std::mem::take(&mut *self.held());
        held.into_values()
            .map(|held| {
                held.lost.cancel();
                held.receipt
            })
            .collect()
    }

    /// Makes messages visible again after `delay`. They are released already.
    pub(super) async fn release(&self, receipts: &[ReceiptHandle], delay: Duration) {
        let _no_heartbeat = self.extending.read().await;
        let extend = |batch| self.queue.extend(&self.name, batch, delay);
        let batches = join_all(receipts.chunks(MAX_QUEUE_BATCH).map(extend));
        match time::timeout(CALL_BOUND.min(self.lease / 6), batches).await {
            Ok(answers) => {
                for error in answers.into_iter().filter_map(Result::err) {
                    warn!(queue = %self.name, %error, "releasing failed, leases will run out");
                }
            }
            Err(_) => warn!(queue = %self.name, "releasing had no answer, leases will run out"),
        }
    }

    /// The heartbeat: extends all leases in flight at a third of the lease, until it is dropped.
    pub(super) async fn keep(&self) {
        let mut ticks = time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.beat().await;
        }
    }

    async fn beat(&self) {
        let _alone = self.extending.write().await;
        let now = Instant::now();
        let held: Vec<(u64, ReceiptHandle)> = {
            let mut held = self.held();
            held.retain(|_, held| held.cap > now || self.lose(held, "it reached its cap"));
            held.iter().map(|(id, held)| (*id, held.receipt.clone())).collect()
        };
        let batches = join_all(held.chunks(MAX_QUEUE_BATCH).map(|batch| self.extend(batch)));
        // All at once and well before the next beat, or one that hangs would hide the others' end.
        if time::timeout(self.lease / 6, batches).await.is_err() {
            warn!(queue = %self.name, "extending leases had no answer in time");
        }
        // What the next beat would come too late for is given up while it is still ours.
        let next = Instant::now() + self.lease / 3;
        self.held()
            .retain(|_, held| held.deadline > next || self.lose(held, "its extension failed"));
    }

    async fn extend(&self, batch: &[(u64, ReceiptHandle)]) {
        let receipts: Vec<ReceiptHandle> =
            batch.iter().map(|(_, receipt)| receipt.clone()).collect();
        let since = Instant::now();
        let results = match self.queue.extend(&self.name, &receipts, self.lease).await {
            Ok(results) => results,
            Err(error) => {
                warn!(queue = %self.name, %error, "extending leases failed");
                return;
            }
        };
        let mut held = self.held();
        for ((id, _), result) in batch.iter().zip(results) {
            match result {
                Ok(()) => {
                    if let Some(held) = held.get_mut(id) {
                        held.deadline = since + self.lease;
                    }
                }
                Err(PortError::Transient { .. } | PortError::Full { .. }) => {}
                Err(error) => {
                    if let Some(held) = held.remove(id) {
                        self.lose(&held, &error.to_string());
                    }
                }
            }
        }
    }

    /// False, so that `retain` drops what is lost.
    fn lose(&self, held: &Held, why: &str) -> bool {
        warn!(queue = %self.name, receipt = held.receipt.0, why, "lease lost");
        held.lost.cancel();
        false
    }
}
