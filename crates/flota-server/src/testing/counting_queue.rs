use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    PortError, PortResult, QueueName,
    ports::{Delivery, Depth, NewMessage, Queue, ReceiptHandle},
};
use flota_platform::Platform;
use tokio::time;

/// Queues that count messages but cannot look into them, like those of SQS, and that can be made to
/// fail.
pub(crate) struct CountingQueue {
    inner: Arc<dyn Queue>,
    /// Queues that were deleted.
    pub(crate) removed: Mutex<BTreeSet<QueueName>>,
    /// The number of sends that will take a minute and then fail.
    pub(crate) slow_sends: AtomicU64,
}

impl CountingQueue {
    /// Replaces the queues of `platform` by such ones.
    pub(crate) fn over(platform: &mut Platform) -> Arc<Self> {
        let queue = Arc::new(Self {
            inner: platform.queue.clone(),
            removed: Mutex::default(),
            slow_sends: AtomicU64::new(0),
        });
        platform.queue = queue.clone();
        queue
    }
}

#[async_trait]
impl Queue for CountingQueue {
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>> {
        let count_down = |left: u64| left.checked_sub(1);
        if self.slow_sends.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_down).is_ok() {
            time::sleep(Duration::from_secs(60)).await;
            return Err(PortError::transient("sending messages", "no answer"));
        }
        self.inner.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>> {
        self.inner.receive(queue, max, wait, lease).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> PortResult<Vec<PortResult<()>>> {
        self.inner.extend(queue, receipts, lease).await
    }

    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>> {
        self.inner.ack(queue, receipts).await
    }

    async fn depth(&self, queue: &QueueName) -> PortResult<Depth> {
        if self.removed.lock().expect("nothing panics under this lock").contains(queue) {
            return Err(PortError::permanent("counting messages", "there is no such queue"));
        }
        self.inner.depth(queue).await
    }
}
