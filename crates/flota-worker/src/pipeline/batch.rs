//! Groups prepared images: the largest size or the longest wait, whichever comes first.

use std::time::Duration;

use flota_core::{BatchSpec, Output, Sha256};
use flota_engine::Tensor;
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use super::{gate::Pass, in_hand::Failure};

/// A prepared image that waits for its inference.
pub(crate) struct Item {
    /// The image.
    pub(crate) sha256: Sha256,
    /// What the model is fed.
    pub(crate) tensor: Tensor,
    /// Held until the inference is done.
    pub(crate) pass: Pass,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Inferred>,
}

/// Images that a model is run on together, at least one.
pub(crate) type Batch = Vec<Item>;

/// What the model answered.
pub(crate) struct Inferred {
    /// The labelled output, or why there is none.
    pub(crate) result: Result<Output, Failure>,
    /// How long the batch took.
    pub(crate) took: Duration,
    /// How many images were in it.
    pub(crate) batch_size: usize,
}

/// Turns `items` into batches until nobody sends any more.
pub(crate) async fn batch_all(
    spec: BatchSpec,
    mut items: mpsc::Receiver<Item>,
    batches: mpsc::Sender<Batch>,
) {
    let max_size = spec.max_size.max(1) as usize;
    while let Some(first) = items.recv().await {
        let mut batch = Vec::with_capacity(max_size);
        batch.push(first);
        if batch.len() < max_size {
            let _ = time::timeout(spec.max_wait(), fill(&mut batch, max_size, &mut items)).await;
        }
        let Ok(place) = batches.reserve().await else { return };
        while batch.len() < max_size
            && let Ok(item) = items.try_recv()
        {
            batch.push(item);
        }
        // Nobody waits for the work of a lost lease.
        batch.retain(|item| !item.reply.is_closed());
        if !batch.is_empty() {
            place.send(batch);
        }
    }
}

async fn fill(batch: &mut Vec<Item>, max_size: usize, items: &mut mpsc::Receiver<Item>) {
    while batch.len() < max_size {
        match items.recv().await {
            Some(item) => batch.push(item),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use flota_engine::TensorData;
    use tokio::time::Instant;

    use super::*;
    use crate::pipeline::gate::Gate;

    const LONG_WAIT_MS: u64 = 10_000;

    struct Batcher {
        items: mpsc::Sender<Item>,
        batches: mpsc::Receiver<Batch>,
        gate: Gate,
    }

    impl Batcher {
        fn start(max_size: u32) -> Self {
            let spec = BatchSpec { max_size, max_wait_ms: LONG_WAIT_MS, ..BatchSpec::default() };
            let (items, waiting) = mpsc::channel(16);
            let (ready, batches) = mpsc::channel(1);
            tokio::spawn(batch_all(spec, waiting, ready));
            Self { items, batches, gate: Gate::default() }
        }

        async fn add(&self) -> oneshot::Receiver<Inferred> {
            let (reply, answer) = oneshot::channel();
            let tensor = Tensor { shape: [1; 4], data: TensorData::U8(vec![0]) };
            let pass = self.gate.together().await;
            self.items.send(Item { sha256: Sha256::of(b""), tensor, pass, reply }).await.unwrap();
            answer
        }

        async fn next_size(&mut self) -> usize {
            self.batches.recv().await.unwrap().len()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_goes_at_once_and_a_part_of_one_after_the_wait() {
        let mut batcher = Batcher::start(2);
        let began = Instant::now();
        let _answers = [batcher.add().await, batcher.add().await, batcher.add().await];
        assert_eq!(batcher.next_size().await, 2);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(batcher.next_size().await, 1);
        assert_eq!(began.elapsed(), Duration::from_millis(LONG_WAIT_MS));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_one_never_waits() {
        let mut batcher = Batcher::start(1);
        let began = Instant::now();
        let _answers = [batcher.add().await, batcher.add().await];
        assert_eq!((batcher.next_size().await, batcher.next_size().await), (1, 1));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_not_run() {
        let mut batcher = Batcher::start(2);
        drop(batcher.add().await);
        let _answer = batcher.add().await;
        assert_eq!(batcher.next_size().await, 1);
    }
}
