//! From an image's URL to the tensors of models: fetch, hash, decode, prepare.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use flota_core::{
    Code, ImageFacts, OBJECT_PREFIX, Sha256,
    ports::{FetchError, FetchPlace, Images, UPLOADED_PREFIX},
};
use flota_engine::{DecodeError, DecodedImage, Model, NamedTensors};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{attempt::Failure, permit::Permit};
use crate::{
    executor::{Executor, Panicked, ThreadPool},
    metrics,
    stages::Stage,
    watchdog::{Watchdog, Watched},
};

/// Fetches and decodes images, each within its own bound on what it does at once.
pub(crate) struct Preparer {
    images: Arc<dyn Images>,
    /// Slow hosts of the web leave room for uploads and objects.
    web: FetchStage,
    stored: FetchStage,
    /// For hashing and decoding.
    threads: ThreadPool,
    watchdog: Watchdog,
    decoding: Arc<Stage>,
}

/// What bounds a [`Preparer`].
pub(crate) struct PrepareLimits {
    /// Fetches from the web at the same time, and as many of uploads and objects.
    pub(crate) fetch_concurrency: usize,
    pub(crate) decode_threads: usize,
}

/// Images between the beginning of their fetch and their place in a batch: it bounds the memory that their
/// bytes and tensors take.
struct FetchStage {
    permits: Arc<Semaphore>,
    stage: Arc<Stage>,
}

/// The right to fetch an image: from its host, and among all images.
pub(crate) struct FetchPermit {
    at_host: FetchPlace,
    among_images: OwnedSemaphorePermit,
    stage: Arc<Stage>,
}

/// A fetched image, and its permit among those that are.
pub(crate) struct FetchedImage {
    pub(crate) sha256: Sha256,
    /// How long the fetch took.
    pub(crate) took: Duration,
    bytes: Bytes,
    permit: OwnedSemaphorePermit,
}

/// An image that was decoded and prepared for one model.
pub(crate) struct PreparedImage {
    /// What the network is fed.
    pub(crate) inputs: NamedTensors,
    pub(crate) facts: ImageFacts,
    /// How long decoding and preparing took.
    pub(crate) took: Duration,
    /// The right to infer.
    pub(crate) permit: Permit,
    /// Its permit among the images that are fetched, until it is in a batch.
    pub(crate) fetch_permit: Arc<OwnedSemaphorePermit>,
}

/// An image as each of several models takes it, in their order.
#[derive(Clone)]
pub(crate) struct PreparedImages(Arc<[Slot]>);

/// Empty once it was taken.
type Slot = Mutex<Option<Result<PreparedImage, Failure>>>;

/// What one decode gave: the image as each of the models takes it.
type Inputs = Vec<Result<(NamedTensors, ImageFacts), Failure>>;

impl FetchStage {
    /// A stage of so many fetches at once, reported as `name`.
    fn start(name: &'static str, at_once: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once)), stage: Stage::start(name, at_once) }
    }
}

impl PreparedImages {
    /// The image for the model at `index`, once.
    pub(crate) fn take(&self, index: usize) -> Result<PreparedImage, Failure> {
        let mut slot = self.0[index].lock().expect("nothing panics under this lock");
        slot.take().expect("each model takes its image once")
    }
}

impl Preparer {
    /// A preparer with its own threads for decoding.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(
        images: Arc<dyn Images>,
        limits: &PrepareLimits,
        watchdog: Watchdog,
        executor: &dyn Executor,
    ) -> io::Result<Self> {
        Ok(Self {
            images,
            web: FetchStage::start("fetch", limits.fetch_concurrency),
            stored: FetchStage::start("fetch_stored", limits.fetch_concurrency),
            threads: ThreadPool::start(executor, "decode", limits.decode_threads)?,
            watchdog,
            decoding: Stage::start("decode", limits.decode_threads),
        })
    }

    /// Waits for a place at the host of `url`, and then for one among the images that are fetched: an image
    /// of a slow host takes no place from others while it waits.
    pub(crate) async fn fetch_permit(&self, url: &str) -> Result<FetchPermit, Failure> {
        let at_host = self.images.place(url).await.map_err(fetch_failure)?;
        let is_stored = url.starts_with(UPLOADED_PREFIX) || url.starts_with(OBJECT_PREFIX);
        let kind = if is_stored { &self.stored } else { &self.web };
        let among_images = Arc::clone(&kind.permits).acquire_owned().await;
        let among_images = among_images.expect("the semaphore is never closed");
        Ok(FetchPermit { at_host, among_images, stage: Arc::clone(&kind.stage) })
    }

    /// Fetches an image of `max_bytes` at most and hashes it, unless its URL names its hash.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        sha256: Option<Sha256>,
        max_bytes: u64,
        permit: FetchPermit,
    ) -> Result<FetchedImage, Failure> {
        let FetchPermit { at_host, among_images: permit, stage } = permit;
        let began = Instant::now();
        let busy = stage.enter();
        let fetched = self.images.fetch_in(at_host, url, max_bytes).await;
        let bytes = fetched.map_err(fetch_failure)?;
        drop(busy);
        let took = began.elapsed();
        metrics::stage("fetch", took);
        let sha256 = match sha256 {
            Some(sha256) => sha256,
            None => self.hash(bytes.clone()).await,
        };
        Ok(FetchedImage { sha256, took, bytes, permit })
    }

    /// Decodes an image and prepares it for each of `models`. `permit` goes with the work to its thread,
    /// which goes on when the caller stops waiting.
    pub(crate) async fn prepare(
        &self,
        image: FetchedImage,
        models: Vec<Arc<Model>>,
        permit: Permit,
    ) -> PreparedImages {
        let FetchedImage { sha256, bytes, permit: fetch_permit, .. } = image;
        let (watchdog, model_count) = (self.watchdog.clone(), models.len());
        let stage = Arc::clone(&self.decoding);
        let decoding = self.threads.run(move || {
            let _busy = stage.enter();
            let began = Instant::now();
            let watch = |limit| watchdog.watch("decode", sha256, limit);
            let inputs = inputs(&models, &bytes, watch);
            let took = began.elapsed();
            metrics::stage("decode", took);
            let fetch_permit = Arc::new(fetch_permit);
            let prepared = |(inputs, facts)| {
                let (permit, fetch_permit) = (permit.clone(), Arc::clone(&fetch_permit));
                PreparedImage { inputs, facts, took, permit, fetch_permit }
            };
            inputs.into_iter().map(|inputs| inputs.map(prepared)).collect::<Vec<_>>()
        });
        let prepared = decoding.await.unwrap_or_else(|Panicked| {
            tracing::error!(image.sha256 = %sha256, "preparing the image panicked");
            metrics::decoder_panicked("unknown");
            let message = "the decoder failed, which is no fault of the image";
            let failure = Failure::new(Code::DecodeFailed, message);
            (0..model_count).map(|_| Err(failure.clone())).collect()
        });
        let slot = |prepared| Mutex::new(Some(prepared));
        PreparedImages(prepared.into_iter().map(slot).collect())
    }

    async fn hash(&self, bytes: Bytes) -> Sha256 {
        self.threads.run(move || Sha256::of(&bytes)).await.expect("hashing does not panic")
    }
}

/// How long `model` may take for a decode or for a batch.
pub(crate) fn max_time(model: &Model) -> Duration {
    Duration::from_secs(model.manifest().limits.max_seconds.into())
}

/// Decodes an image for all of `models`: once where they ask the same of transparent pixels and
/// colour profiles, or where it has neither, else once for each that they ask. What is too large for
/// one of them is decoded for each by itself. Each decode is watched by itself, for as long as a model that
/// it is for allows.
fn inputs(models: &[Arc<Model>], bytes: &[u8], watch: impl Fn(Duration) -> Watched) -> Inputs {
    let mut inputs: Vec<_> = models.iter().map(|_| None).collect();
    loop {
        let waiting: Vec<usize> = (0..models.len()).filter(|n| inputs[*n].is_none()).collect();
        let Some(&first) = waiting.first() else {
            return inputs.into_iter().flatten().collect();
        };
        let limit = waiting.iter().map(|n| max_time(&models[*n])).max().unwrap_or_default();
        let _watched = watch(limit);
        let together: Vec<&Model> = waiting.iter().map(|n| models[*n].as_ref()).collect();
        match Model::decode_together(&together, bytes) {
            Ok(image) => {
                for n in waiting.into_iter().filter(|n| models[*n].suits(&image)) {
                    inputs[n] = Some(prepared(&models[n], &image, bytes));
                }
            }
            Err(DecodeError::TooLarge { .. }) if waiting.len() > 1 => {
                let alone = models[first].decode(bytes).map_err(decode_failure);
                let alone = alone.and_then(|image| prepared(&models[first], &image, bytes));
                inputs[first] = Some(alone);
            }
            Err(error) => {
                let failure = decode_failure(error);
                waiting.into_iter().for_each(|n| inputs[n] = Some(Err(failure.clone())));
            }
        }
    }
}

fn prepared(
    model: &Model,
    image: &DecodedImage,
    bytes: &[u8],
) -> Result<(NamedTensors, ImageFacts), Failure> {
    let inputs = model.prepare(image).map_err(|error| Failure::logged(error.code(), &error))?;
    Ok((inputs, Model::facts(image, bytes.len())))
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
    use flota_engine::{Runtime, Tensor};
    use image::{ImageFormat, Rgba, RgbaImage};

    use super::*;

    const MEANS: &[u8] = include_bytes!("../../../flota-engine/tests/fixtures/means.onnx");

    /// A model that takes an image of at most so many pixels, and allows so many seconds.
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

    /// How red each model sees the image, and the limits in seconds of the decodes.
    fn seen(models: &[Arc<Model>], pixel: [u8; 4]) -> (Vec<Option<u8>>, Vec<u64>) {
        let (watchdog, limits) = (Watchdog::default(), RefCell::new(Vec::new()));
        let watch = |limit: Duration| {
            limits.borrow_mut().push(limit.as_secs());
            watchdog.watch("decode", Sha256::of(b"image"), limit)
        };
        let red = |(inputs, _): (NamedTensors, ImageFacts)| {
            inputs.get("image").and_then(Tensor::floats).unwrap()[0] as u8
        };
        let inputs = inputs(models, &png(pixel), watch);
        (inputs.into_iter().map(|one| one.ok().map(red)).collect(), limits.into_inner())
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
