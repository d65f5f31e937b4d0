//! From an image's address to a prediction.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flota_core::{
    Code, ImageFacts, Limits, Output, Prediction, PredictionKey, Sha256, Timings,
    ports::{Clock, FetchError, Images},
};
use flota_engine::{Model, Tensor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    batch::Item,
    gate::Pass,
    in_hand::{Computed, Failure},
    threads::{Panicked, Threads},
    watchdog::Watchdog,
};
use crate::metrics;

/// The stages from fetching to inferring, each with its own bound on what it does at once.
pub(crate) struct Compute {
    pub(crate) images: Arc<dyn Images>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) model: Arc<Model>,
    /// What an image may cost.
    pub(crate) limits: Limits,
    /// Images between the beginning of their fetch and their place in a batch: it bounds the memory
    /// that their bytes and tensors take.
    pub(crate) fetches: Arc<Semaphore>,
    /// Hash and decode.
    pub(crate) threads: Threads,
    pub(crate) watchdog: Watchdog,
    /// To the batcher.
    pub(crate) items: mpsc::Sender<Item>,
}

/// A fetched image, and its place among those that are.
pub(crate) struct Fetched {
    /// Its identity.
    pub(crate) sha256: Sha256,
    /// How long the fetch took.
    pub(crate) took: Duration,
    bytes: Bytes,
    place: OwnedSemaphorePermit,
}

struct Prepared {
    tensor: Tensor,
    facts: ImageFacts,
    took: Duration,
}

impl Compute {
    /// Waits for a place among the images that are fetched.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.fetches).acquire_owned().await;
        place.expect("the semaphore is never closed")
    }

    /// Fetches an image and hashes it, unless its address says what it hashes to.
    pub(crate) async fn fetch(
        &self,
        address: &str,
        sha256: Option<Sha256>,
        place: OwnedSemaphorePermit,
    ) -> Result<Fetched, Failure> {
        let began = Instant::now();
        let bytes =
            self.images.fetch(address, self.limits.max_bytes).await.map_err(fetch_failure)?;
        let took = began.elapsed();
        metrics::stage("fetch", took);
        let sha256 = match sha256 {
            Some(sha256) => sha256,
            None => self.hash(bytes.clone()).await,
        };
        Ok(Fetched { sha256, took, bytes, place })
    }

    /// Decodes an image and has the model look at it.
    pub(crate) async fn look(&self, key: PredictionKey, image: Fetched, pass: Pass) -> Computed {
        let mut timings = Timings::default();
        let result = self.look_timed(key, image, pass, &mut timings).await;
        Computed { result, timings }
    }

    async fn look_timed(
        &self,
        key: PredictionKey,
        image: Fetched,
        pass: Pass,
        timings: &mut Timings,
    ) -> Result<Arc<Prediction>, Failure> {
        let Fetched { sha256, bytes, place, .. } = image;
        let Prepared { tensor, facts, took } = self.decode(sha256, bytes, pass.clone()).await?;
        timings.decode_ms = Some(metrics::milliseconds(took));

        let (reply, answer) = oneshot::channel();
        let gone = |_| Failure::new(Code::InferFailed, "the model ended without an answer");
        self.items.send(Item { sha256, tensor, pass, reply }).await.map_err(|_| gone(()))?;
        drop(place);
        let inferred = answer.await.map_err(|_| gone(()))?;
        timings.infer_ms = Some(metrics::milliseconds(inferred.took));
        timings.batch_size = u32::try_from(inferred.batch_size).ok();

        let output = within_size(inferred.result?)?;
        let computed_at = self.clock.now();
        Ok(Arc::new(Prediction { key, output, image: facts, computed_at }))
    }

    async fn hash(&self, bytes: Bytes) -> Sha256 {
        self.threads.run(move || Sha256::of(&bytes)).await.expect("hashing does not panic")
    }

    /// Decodes an image. The pass goes with it to its thread, which goes on whoever waits.
    async fn decode(&self, sha256: Sha256, bytes: Bytes, pass: Pass) -> Result<Prepared, Failure> {
        let model = Arc::clone(&self.model);
        let watchdog = self.watchdog.clone();
        let decoding = self.threads.run(move || {
            let _held = (pass, watchdog.watch("decode", sha256));
            prepare(&model, &bytes)
        });
        decoding.await.unwrap_or_else(|Panicked| {
            tracing::error!(image.sha256 = %sha256, "the decoder panicked");
            Err(Failure::new(Code::DecodeCorrupt, "the image cannot be decoded"))
        })
    }
}

fn prepare(model: &Model, bytes: &[u8]) -> Result<Prepared, Failure> {
    let began = Instant::now();
    let image = model.decode(bytes).map_err(|error| Failure::logged(error.code(), &error))?;
    let tensor = model.prepare(&image);
    let took = began.elapsed();
    metrics::stage("decode", took);
    let facts = ImageFacts {
        width: image.original.0,
        height: image.original.1,
        format: image.format.to_string(),
        size_bytes: bytes.len() as u64,
    };
    Ok(Prepared { tensor, facts, took })
}

fn within_size(output: Output) -> Result<Output, Failure> {
    match output.check_size() {
        Ok(()) => Ok(output),
        Err(error) => Err(Failure::new(Code::PredictionTooLarge, error.to_string())),
    }
}

fn fetch_failure(error: FetchError) -> Failure {
    if let Some(cause) = &error.source {
        tracing::info!(code = %error.code, cause, "an image could not be fetched");
    }
    Failure::new(error.code, error.message)
}
