//! Has a model infer a prepared image, in a batch with others: the largest size or the longest wait,
//! whichever comes first.

use std::{sync::Arc, time::Duration};

use flota_core::{
    BatchSpec, Batches, Code, ImageFacts, Output, Prediction, PredictionKey, Sha256, Timings,
    ports::Clock,
};
use flota_engine::{Model, NamedTensors};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    attempt::{Computed, Failure},
    permit::Permit,
    prepare::PreparedImage,
};
use crate::metrics;

/// A model that the worker serves.
pub(crate) struct ServedModel {
    pub(crate) model: Arc<Model>,
    /// How often a task is begun at most.
    pub(crate) max_attempts: u32,
    /// To its batcher.
    pub(crate) items: mpsc::Sender<Item>,
}

/// A prepared image that waits for its inference.
pub(crate) struct Item {
    pub(crate) sha256: Sha256,
    /// What the network is fed.
    pub(crate) inputs: NamedTensors,
    pub(crate) image: ImageFacts,
    /// Held until the inference is done.
    pub(crate) permit: Permit,
    /// To the task that waits, from the thread that infers.
    pub(crate) reply: oneshot::Sender<Inferred>,
}

/// Images that a model is run on together, at least one.
pub(crate) type Batch = Vec<Item>;

/// What the model answered.
pub(crate) struct Inferred {
    /// The labelled output, or why there is none.
    pub(crate) result: Result<Output, Failure>,
    /// Of the item.
    pub(crate) image: ImageFacts,
    /// How long the batch took.
    pub(crate) took: Duration,
    /// How many images were in it.
    pub(crate) batch_size: usize,
}

impl ServedModel {
    /// The key of the model's prediction of an image.
    pub(crate) fn key(&self, sha256: Sha256) -> PredictionKey {
        let manifest = self.model.manifest();
        PredictionKey { sha256, model: manifest.name.clone(), version: manifest.version.clone() }
    }

    /// The largest image that the model takes, in bytes.
    pub(crate) fn max_image_bytes(&self) -> u64 {
        self.model.manifest().limits.max_bytes
    }

    /// Has the model infer an image, if it could be prepared.
    pub(crate) async fn infer(
        &self,
        sha256: Sha256,
        prepared: Result<PreparedImage, Failure>,
        clock: &dyn Clock,
    ) -> Computed {
        let mut timings = Timings::default();
        let result = match prepared {
            Ok(prepared) => self.predict(sha256, prepared, clock, &mut timings).await,
            Err(failure) => Err(failure),
        };
        Computed { result, timings }
    }

    async fn predict(
        &self,
        sha256: Sha256,
        prepared: PreparedImage,
        clock: &dyn Clock,
        timings: &mut Timings,
    ) -> Result<Arc<Prediction>, Failure> {
        let PreparedImage { inputs, facts: image, took, permit, fetch_permit } = prepared;
        timings.decode_ms = Some(metrics::milliseconds(took));
        let (reply, answer) = oneshot::channel();
        let item = Item { sha256, inputs, image, permit, reply };
        self.items.send(item).await.map_err(|_| stopped())?;
        drop(fetch_permit);
        let Inferred { result, image, took, batch_size } = answer.await.map_err(|_| stopped())?;
        timings.infer_ms = Some(metrics::milliseconds(took));
        timings.batch_size = u32::try_from(batch_size).ok();
        let output = result?;
        if let Err(error) = output.check_size() {
            return Err(Failure::new(Code::PredictionTooLarge, error.to_string()));
        }
        let key = self.key(sha256);
        Ok(Arc::new(Prediction { key, output, image, computed_at: clock.now() }))
    }
}

fn stopped() -> Failure {
    Failure::new(Code::InferFailed, "the model ended without an answer")
}

/// Turns `items` into batches until nobody sends any more.
pub(crate) async fn batch_all(
    spec: BatchSpec,
    items: mpsc::Receiver<Item>,
    batches: mpsc::Sender<Batch>,
) {
    let mut forming = Batches::new(items, spec.max_size as usize);
    loop {
        let due = |_: &Item| Instant::now() + spec.max_wait();
        let Some(mut batch) = forming.next(due).await else { return };
        let Ok(place) = batches.reserve().await else { return };
        forming.fill(&mut batch);
        // What is inferred for a lost lease has no effect.
        batch.retain(|item| !item.reply.is_closed());
        if !batch.is_empty() {
            place.send(batch);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::pipeline::permit::Permits;

    const LONG_WAIT_MS: u64 = 10_000;

    /// Of some image.
    pub(crate) fn facts() -> ImageFacts {
        let format = "png".to_owned();
        ImageFacts { width: 4, height: 4, format, size_bytes: 99, flags: Vec::new() }
    }

    struct Batcher {
        items: mpsc::Sender<Item>,
        batches: mpsc::Receiver<Batch>,
        permits: Permits,
    }

    impl Batcher {
        fn start(max_size: u32) -> Self {
            let spec = BatchSpec { max_size, max_wait_ms: LONG_WAIT_MS, ..BatchSpec::default() };
            let (items, waiting) = mpsc::channel(16);
            let (ready, batches) = mpsc::channel(1);
            tokio::spawn(batch_all(spec, waiting, ready));
            Self { items, batches, permits: Permits::default() }
        }

        async fn add(&self) -> oneshot::Receiver<Inferred> {
            let (reply, answer) = oneshot::channel();
            let (sha256, permit) = (Sha256::of(b""), self.permits.shared().await);
            let (inputs, image) = (NamedTensors::default(), facts());
            self.items.send(Item { sha256, inputs, image, permit, reply }).await.unwrap();
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
