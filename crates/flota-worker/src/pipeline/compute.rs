//! From an image's address to what the models take of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flota_core::{
    Code, ImageFacts, Sha256,
    ports::{FetchError, Images},
};
use flota_engine::{DecodeError, DecodedImage, Model, Tensor};
use futures::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    gate::Pass,
    in_hand::Failure,
    infer::max_time,
    served::{Prepared, Served},
    stages::Stage,
    threads::{Panicked, Threads},
    watchdog::Watchdog,
};
use crate::metrics;

/// The stages from fetching to preparing, each with its own bound on what it does at once.
pub(crate) struct Compute {
    pub(crate) images: Arc<dyn Images>,
    /// Images between the beginning of their fetch and their place in a batch: it bounds the memory
    /// that their bytes and tensors take.
    pub(crate) fetches: Arc<Semaphore>,
    /// Hash and decode.
    pub(crate) threads: Threads,
    pub(crate) watchdog: Watchdog,
    pub(crate) fetching: Arc<Stage>,
    pub(crate) decoding: Arc<Stage>,
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

/// A model that waits for an image to be prepared for it.
pub(crate) struct Wanting {
    pub(crate) served: Arc<Served>,
    pub(crate) reply: oneshot::Sender<Result<Prepared, Failure>>,
}

/// What one decode gave: the image as each of the models takes it.
type Tensors = Vec<Result<(Tensor, ImageFacts), Failure>>;

impl Wanting {
    /// Ends when nobody waits any more.
    pub(crate) async fn gone(all: &mut [Self]) {
        join_all(all.iter_mut().map(|one| one.reply.closed())).await;
    }
}

impl Compute {
    /// Waits for a place among the images that are fetched.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.fetches).acquire_owned().await;
        place.expect("the semaphore is never closed")
    }

    /// Fetches an image of `max_bytes` at most and hashes it, unless its address says what it hashes to.
    pub(crate) async fn fetch(
        &self,
        address: &str,
        sha256: Option<Sha256>,
        max_bytes: u64,
        place: OwnedSemaphorePermit,
    ) -> Result<Fetched, Failure> {
        let began = Instant::now();
        let busy = self.fetching.enter();
        let bytes = self.images.fetch(address, max_bytes).await.map_err(fetch_failure)?;
        drop(busy);
        let took = began.elapsed();
        metrics::stage("fetch", took);
        let sha256 = match sha256 {
            Some(sha256) => sha256,
            None => self.hash(bytes.clone()).await,
        };
        Ok(Fetched { sha256, took, bytes, place })
    }

    /// Decodes an image once and prepares it for each of `wanting`.
    pub(crate) async fn prepare(&self, image: Fetched, wanting: Vec<Wanting>, pass: Pass) {
        let Fetched { sha256, bytes, place, .. } = image;
        let place = Arc::new(place);
        // Nobody waits for the work of a lost lease.
        let wanting: Vec<_> = wanting.into_iter().filter(|one| !one.reply.is_closed()).collect();
        let models: Vec<_> = wanting.iter().map(|one| Arc::clone(&one.served.model)).collect();
        let (tensors, took) = self.decode(sha256, bytes, models, pass.clone()).await;
        for (Wanting { reply, .. }, tensor) in wanting.into_iter().zip(tensors) {
            let (pass, place) = (pass.clone(), Arc::clone(&place));
            let prepared =
                tensor.map(|(tensor, facts)| Prepared { tensor, facts, took, pass, place });
            let _ = reply.send(prepared);
        }
    }

    async fn hash(&self, bytes: Bytes) -> Sha256 {
        self.threads.run(move || Sha256::of(&bytes)).await.expect("hashing does not panic")
    }

    /// The pass goes with the work to its thread, which goes on whoever waits.
    async fn decode(
        &self,
        sha256: Sha256,
        bytes: Bytes,
        models: Vec<Arc<Model>>,
        pass: Pass,
    ) -> (Tensors, Duration) {
        let Some(limit) = models.iter().map(|model| max_time(model)).max() else {
            return (Tensors::new(), Duration::ZERO);
        };
        let (watchdog, model_count) = (self.watchdog.clone(), models.len());
        let stage = Arc::clone(&self.decoding);
        let decoding = self.threads.run(move || {
            let _held = (pass, watchdog.watch("decode", sha256, limit), stage.enter());
            let began = Instant::now();
            let tensors = tensors(&models, &bytes);
            let took = began.elapsed();
            metrics::stage("decode", took);
            (tensors, took)
        });
        decoding.await.unwrap_or_else(|Panicked| {
            tracing::error!(image.sha256 = %sha256, "the decoder panicked");
            let failure = Failure::new(Code::DecodeCorrupt, "the image cannot be decoded");
            (vec![Err(failure); model_count], Duration::ZERO)
        })
    }
}

/// Decodes an image together for all of `models`. What is too large for one of them is decoded for
/// each by itself.
fn tensors(models: &[Arc<Model>], bytes: &[u8]) -> Tensors {
    let prepare = |model: &Arc<Model>, image: &DecodedImage| {
        let facts = ImageFacts {
            width: image.original.0,
            height: image.original.1,
            format: image.format.to_string(),
            size_bytes: bytes.len() as u64,
        };
        (model.prepare(image), facts)
    };
    let failure = |error: DecodeError| Failure::logged(error.code(), &error);
    let together: Vec<&Model> = models.iter().map(Arc::as_ref).collect();
    match Model::decode_together(&together, bytes) {
        Ok(image) => models.iter().map(|model| Ok(prepare(model, &image))).collect(),
        Err(DecodeError::TooLarge { .. }) if models.len() > 1 => {
            let alone = |model: &Arc<Model>| Ok(prepare(model, &model.decode(bytes)?));
            models.iter().map(|model| alone(model).map_err(failure)).collect()
        }
        Err(error) => vec![Err(failure(error)); models.len()],
    }
}

fn fetch_failure(error: FetchError) -> Failure {
    if let Some(cause) = &error.source {
        tracing::info!(code = %error.code, cause, "an image could not be fetched");
    }
    Failure::new(error.code, error.message)
}
