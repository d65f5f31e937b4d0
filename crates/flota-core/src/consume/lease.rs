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

/// A handler's view of the lease on its delivery.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) lost: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) slots: Arc<HeldSlots>,
}

impl Lease {
    /// Declares the work done except for its report. From now on the delivery takes no slot for
    /// work, so that another can be received; as many deliveries may be reporting as may be
    /// working.
    pub fn reporting(&self) {
        self.slots.begin_report();
    }

    /// Waits until the lease is lost. Another process may have the message then, and the loop
    /// ignores the result of the work.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the lease is lost.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Whether the loop is draining. Work that has not begun should be released.
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

/// All leases of a queue that are in flight. One heartbeat extends them.
pub(super) struct Leases {
    queue: Arc<dyn Queue>,
    name: QueueName,
    lease: Duration,
    max_lease: Duration,
    held: Mutex<BTreeMap<u64, Held>>,
    // A heartbeat takes the write lock, a release the read lock: a heartbeat must not extend what
    // is being released, and many releases may run at the same time.
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

    /// Adds the lease of a delivery whose receive began at `since`. The token is cancelled if the
    /// lease is lost.
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

    /// Stops extending a lease and returns its receipt handle; `None` if the lease was lost.
    pub(super) fn end(&self, id: u64) -> Option<ReceiptHandle> {
        self.held().remove(&id).map(|held| held.receipt)
    }

    /// Declares every lease lost and returns the receipt handles.
    pub(super) fn abandon(&self) -> Vec<ReceiptHandle> {
        let held = std::mem::take(&mut *self.held());
        held.into_values()
            .map(|held| {
                held.lost.cancel();
                held.receipt
            })
            .collect()
    }

    /// Makes messages visible after `delay`. Their leases must have been removed before.
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

    /// The heartbeat: extends all leases every third of their duration, until the future is
    /// dropped.
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
        // All batches share one timeout well before the next beat, so that one that hangs does not
        // hide that the others ended.
        if time::timeout(self.lease / 6, batches).await.is_err() {
            warn!(queue = %self.name, "extending leases had no answer in time");
        }
        // A lease that would expire before the next beat is given up while it is still ours.
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

    /// Cancels the lease's token. Always false, so that `retain` drops the lease.
    fn lose(&self, held: &Held, why: &str) -> bool {
        warn!(queue = %self.name, receipt = held.receipt.0, why, "lease lost");
        held.lost.cancel();
        false
    }
}
