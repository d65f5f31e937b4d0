//! From an image's address to what the models take of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flota_core::{
    Code, ImageFacts, OBJECT_PREFIX, Sha256,
    ports::{FetchError, FetchPlace, Images, UPLOADED_PREFIX},
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
    watchdog::{Watchdog, Watched},
};
use crate::metrics;

/// The stages from fetching to preparing, each with its own bound on what it does at once.
pub(crate) struct Compute {
    pub(crate) images: Arc<dyn Images>,
    pub(crate) places: Places,
    /// Hash and decode.
    pub(crate) threads: Threads,
    pub(crate) watchdog: Watchdog,
    pub(crate) decoding: Arc<Stage>,
}

/// Images between the beginning of their fetch and their place in a batch: it bounds the memory that
/// their bytes and tensors take. Slow hosts of the web leave room for uploads and S3.
pub(crate) struct Places {
    pub(crate) web: FetchStage,
    pub(crate) stored: FetchStage,
}

/// Images of one kind that are fetched at the same time.
pub(crate) struct FetchStage {
    places: Arc<Semaphore>,
    stage: Arc<Stage>,
}

/// The right to fetch an image: from its host, and among all images.
pub(crate) struct FetchRight {
    at_host: FetchPlace,
    place: OwnedSemaphorePermit,
    stage: Arc<Stage>,
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

impl FetchStage {
    /// A stage of so many fetches at once, reported as `name`.
    pub(crate) fn start(name: &'static str, at_once: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once)), stage: Stage::start(name, at_once) }
    }
}

impl Compute {
    /// Waits for a place at the host of `address`, and then for one among the images that are fetched:
    /// whoever waits for a slow host takes no place from others.
    pub(crate) async fn enter(&self, address: &str) -> Result<FetchRight, Failure> {
        let at_host = self.images.place(address).await.map_err(fetch_failure)?;
        let is_stored = address.starts_with(UPLOADED_PREFIX) || address.starts_with(OBJECT_PREFIX);
        let kind = if is_stored { &self.places.stored } else { &self.places.web };
        let place = Arc::clone(&kind.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        Ok(FetchRight { at_host, place, stage: Arc::clone(&kind.stage) })
    }

    /// Fetches an image of `max_bytes` at most and hashes it, unless its address says what it hashes to.
    pub(crate) async fn fetch(
        &self,
        address: &str,
        sha256: Option<Sha256>,
        max_bytes: u64,
        right: FetchRight,
    ) -> Result<Fetched, Failure> {
        let FetchRight { at_host, place, stage } = right;
        let began = Instant::now();
        let busy = stage.enter();
        let fetched = self.images.fetch_in(at_host, address, max_bytes).await;
        let bytes = fetched.map_err(fetch_failure)?;
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
        if models.is_empty() {
            return (Tensors::new(), Duration::ZERO);
        }
        let (watchdog, model_count) = (self.watchdog.clone(), models.len());
        let stage = Arc::clone(&self.decoding);
        let decoding = self.threads.run(move || {
            let _held = (pass, stage.enter());
            let began = Instant::now();
            let watch = |limit| watchdog.watch("decode", sha256, limit);
            let tensors = tensors(&models, &bytes, watch);
            let took = began.elapsed();
            metrics::stage("decode", took);
            (tensors, took)
        });
        decoding.await.unwrap_or_else(|Panicked| {
            tracing::error!(image.sha256 = %sha256, "preparing the image panicked");
            metrics::decoder_panicked("unknown");
            let message = "the decoder failed, which is no fault of the image";
            let failure = Failure::new(Code::DecodeFailed, message);
            (vec![Err(failure); model_count], Duration::ZERO)
        })
    }
}

/// Decodes an image for all of `models`: once where they ask the same of transparent pixels and
/// colour profiles, or where it has neither, else once for each that they ask. What is too large for
/// one of them is decoded for each by itself. Each decode is watched by itself, for as long as a model that
/// it is for allows.
fn tensors(models: &[Arc<Model>], bytes: &[u8], watch: impl Fn(Duration) -> Watched) -> Tensors {
    let mut tensors: Vec<_> = models.iter().map(|_| None).collect();
    loop {
        let waiting: Vec<usize> = (0..models.len()).filter(|n| tensors[*n].is_none()).collect();
        let Some(&first) = waiting.first() else {
            return tensors.into_iter().flatten().collect();
        };
        let limit = waiting.iter().map(|n| max_time(&models[*n])).max().unwrap_or_default();
        let _watched = watch(limit);
        let together: Vec<&Model> = waiting.iter().map(|n| models[*n].as_ref()).collect();
        match Model::decode_together(&together, bytes) {
            Ok(image) => {
                for n in waiting.into_iter().filter(|n| models[*n].suits(&image)) {
                    tensors[n] = Some(Ok(prepared(&models[n], &image, bytes)));
                }
            }
            Err(DecodeError::TooLarge { .. }) if waiting.len() > 1 => {
                let alone = models[first].decode(bytes);
                let alone = alone.map(|image| prepared(&models[first], &image, bytes));
                tensors[first] = Some(alone.map_err(decode_failure));
            }
            Err(error) => {
                let failure = decode_failure(error);
                waiting.into_iter().for_each(|n| tensors[n] = Some(Err(failure.clone())));
            }
        }
    }
}

fn prepared(model: &Model, image: &DecodedImage, bytes: &[u8]) -> (Tensor, ImageFacts) {
    let facts = ImageFacts {
        width: image.original.0,
        height: image.original.1,
        format: image.format.to_string(),
        size_bytes: bytes.len() as u64,
        flags: image.flags.iter().map(|flag| flag.as_str().to_owned()).collect(),
    };
    (model.prepare(image), facts)
}

fn decode_failure(error: DecodeError) -> Failure {
    if let DecodeError::Panicked { format } = &error {
        tracing::error!(%format, "the decoder panicked");
        metrics::decoder_panicked(format.as_str());
    }
    Failure::logged(error.code(), &error)
}

fn fetch_failure(error: FetchError) -> Failure {
    if let Some(cause) = &error.source {
        tracing::info!(code = %error.code, cause, "an image could not be fetched");
    }
    Failure { retry: error.retry, ..Failure::new(error.code, error.message) }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io::Cursor};

    use flota_core::Manifest;
    use flota_engine::{Runtime, TensorData};
    use image::{ImageFormat, Rgba, RgbaImage};

    use super::*;

    const MEANS: &[u8] = include_bytes!("../../../flota-engine/tests/fixtures/means.onnx");

    /// A model that takes a picture of at most so many pixels, and allows so many seconds.
    fn model(alpha: &str, max_pixels: u32, max_seconds: u32) -> Arc<Model> {
        let text = format!(
            "{{name: means, version: '1', weights: {{file: means.onnx}}, labels: [r, g, b], \
             input: {{width: 2, height: 2, alpha: {alpha}, dtype: f32, scale: 1.0, \
             resize: {{mode: exact}}}}, output: {{name: means, kind: regression}}, \
             limits: {{max_pixels: {max_pixels}, max_seconds: {max_seconds}}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &text).unwrap();
        let labels = ["r", "g", "b"].map(str::to_owned).to_vec();
        Arc::new(Model::load(&Runtime::Tract, manifest, &MEANS.into(), labels).unwrap())
    }

    fn png(pixel: [u8; 4]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = RgbaImage::from_pixel(4, 4, Rgba(pixel));
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// How red each model sees the picture, and the limits in seconds of the decodes.
    fn seen(models: &[Arc<Model>], pixel: [u8; 4]) -> (Vec<Option<u8>>, Vec<u64>) {
        let (watchdog, limits) = (Watchdog::default(), RefCell::new(Vec::new()));
        let watch = |limit: Duration| {
            limits.borrow_mut().push(limit.as_secs());
            watchdog.watch("decode", Sha256::of(b"image"), limit)
        };
        let red = |(tensor, _): (Tensor, ImageFacts)| match tensor.data {
            TensorData::F32(numbers) => numbers[0] as u8,
            TensorData::U8(_) => panic!("floats are asked for"),
        };
        let tensors = tensors(models, &png(pixel), watch);
        (tensors.into_iter().map(|one| one.ok().map(red)).collect(), limits.into_inner())
    }

    #[test]
    fn each_decode_of_an_image_has_the_time_that_its_models_allow() {
        let models = [model("white", 100, 10), model("drop", 100, 60), model("white", 100, 20)];
        let (reds, limits) = seen(&models, [7, 0, 0, 0]);
        assert_eq!(reds, [Some(255), Some(7), Some(255)]);
        assert_eq!(limits, [60, 60], "both decodes are watched, each from its own beginning");
        assert_eq!(seen(&models, [7, 0, 0, 255]), (vec![Some(7); 3], vec![60]));
    }

    #[test]
    fn what_is_too_large_for_one_model_is_decoded_for_the_others_in_their_time() {
        let models = [model("white", 15, 10), model("white", 16, 30)];
        assert_eq!(seen(&models, [7, 0, 0, 255]), (vec![None, Some(7)], vec![30, 30]));
    }
}
