//! A model: its manifest, its labels and its network, loaded and found to fit each other.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use flota_core::{
    MAX_SCORE_CHARS, Manifest, Output, OutputKind, OutputTooLarge, VectorEncoding,
    limits::MAX_PREDICTION_BYTES,
};

use crate::{
    DecodeError, DecodedImage, Engine, InferError, LoadError, Runtime, Session, Structure, Tensor,
    Weights, decode_for,
    infer::{Loaded, foreign_file},
    postprocess::postprocess,
    preprocess,
};

/// A model that is ready to run, shared by the threads that run it.
pub struct Model {
    manifest: Manifest,
    labels: Vec<String>,
    runtime: Runtime,
    structure: Structure,
    engine: Box<dyn Engine>,
    /// That of the checks, for the first who asks: making one takes long.
    spare: Mutex<Option<Box<dyn Session>>>,
}

impl Model {
    /// Loads `weights` into `runtime` and checks them, `labels` and the manifest against
    /// each other, down to a first run on a black image. `labels` are empty for an embedding.
    ///
    /// # Errors
    /// What does not fit, and what would: see [`LoadError`].
    pub fn load(
        runtime: &Runtime,
        manifest: Manifest,
        weights: &Weights,
        labels: Vec<String>,
    ) -> Result<Self, LoadError> {
        if let Some(file) = foreign_file(weights.onnx()) {
            return Err(LoadError::NotOnnx(file.to_owned()));
        }
        let structure = Structure::of(weights.onnx(), manifest.output.name.as_deref());
        if let Some(operator) = structure.training {
            return Err(LoadError::TrainingMode(operator));
        }
        let Loaded { engine, session } =
            runtime.load(weights, &manifest.input, &manifest.output)?;
        let model = Self {
            manifest,
            labels,
            runtime: runtime.clone(),
            structure,
            engine,
            spare: Mutex::new(Some(session)),
        };
        model.check_labels()?;
        model.check_size()?;
        model.check_run().map_err(LoadError::FirstRun)?;
        Ok(model)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What runs it.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// How its graph begins and ends.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The labels, in the order of the network's outputs.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// A session that runs in `threads` threads, where the engine can: see [`Runtime::spreads_images`].
    ///
    /// # Errors
    /// If the engine cannot set one up.
    pub fn session(&self, threads: usize) -> Result<Box<dyn Session>, InferError> {
        // The spare one has one thread, and is of no use beside those that have more.
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        spare.filter(|_| threads == 1).map_or_else(|| self.engine.session(threads), Ok)
    }

    /// Keeps a session of one thread, which was tried out, for the next who asks for one.
    pub fn keep_spare(&self, session: Box<dyn Session>) {
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// Decodes the image in `bytes` for this model, within the manifest's limits.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(&self, bytes: &[u8]) -> Result<DecodedImage, DecodeError> {
        Self::decode_together(&[self], bytes)
    }

    /// Decodes the image in `bytes` once for all of `models`, of which there is one at least: within
    /// the narrowest of their limits, and as the first of them asks. [`Self::suits`] says which others it is
    /// for.
    ///
    /// # Errors
    /// See [`DecodeError`]. What is too large for one may be within the limits of another.
    pub fn decode_together(models: &[&Self], bytes: &[u8]) -> Result<DecodedImage, DecodeError> {
        let limits = models.iter().map(|model| model.manifest.limits.clone());
        let limits = limits.reduce(|a, b| a.narrowest(&b)).expect("there is a model");
        decode_for(bytes, &limits, models.first().map(|model| &model.manifest.input))
    }

    /// Whether `image` was decoded as this model asks.
    pub fn suits(&self, image: &DecodedImage) -> bool {
        image.suits(&self.manifest.input)
    }

    /// The tensor that the network takes of `image`.
    pub fn prepare(&self, image: &DecodedImage) -> Tensor {
        preprocess(image, &self.manifest.input)
    }

    /// What the network's `numbers` say of an image. It fits a prediction.
    ///
    /// # Errors
    /// If one of them is not finite.
    pub fn label(&self, numbers: &[f32]) -> Result<Output, InferError> {
        postprocess(numbers, &self.labels, &self.manifest.output)
    }

    /// The tensor of a black image, to try the network with.
    pub fn black(&self) -> Tensor {
        let (width, height) = (self.manifest.input.width, self.manifest.input.height);
        self.prepare(&DecodedImage::black(width, height))
    }

    fn check_labels(&self) -> Result<(), LoadError> {
        let output_count = self.engine.output_count();
        if self.manifest.output.kind == OutputKind::Embedding {
            return Ok(());
        }
        if self.labels.len() != output_count {
            return Err(LoadError::LabelCount { label_count: self.labels.len(), output_count });
        }
        let mut named = self.manifest.output.thresholds.keys();
        match named.find(|label| !self.labels.contains(label)) {
            Some(label) => Err(LoadError::NoSuchLabel(label.clone())),
            None => Ok(()),
        }
    }

    /// The largest answer must fit a prediction, so that no image is refused for its answer.
    fn check_size(&self) -> Result<(), LoadError> {
        let output = &self.manifest.output;
        let length = self.engine.output_count();
        if output.kind == OutputKind::Embedding {
            let encoding = output.encoding.unwrap_or_else(|| VectorEncoding::usual(length));
            return check_length(length, encoding);
        }
        let mut sizes: Vec<usize> = self.labels.iter().map(|label| entry_bytes(label)).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let listed_count = output.listed_count(length) + output.thresholds.len();
        let size_bytes = sizes.iter().take(listed_count).sum::<usize>() + ENVELOPE_BYTES;
        if size_bytes > MAX_PREDICTION_BYTES {
            return Err(LoadError::TooLarge(OutputTooLarge { size_bytes }));
        }
        Ok(())
    }

    fn check_run(&self) -> Result<(), InferError> {
        let mut session = self.session(1)?;
        let answers = session.run(&[self.black()])?;
        self.keep_spare(session);
        answers.iter().try_for_each(|answer| self.label(answer).map(drop))
    }
}

fn check_length(length: usize, encoding: VectorEncoding) -> Result<(), LoadError> {
    let limit = encoding.max_length();
    if length <= limit {
        return Ok(());
    }
    let cure = match encoding {
        VectorEncoding::Json => "as JSON: write `output.encoding: base64_f32` or `base64_f16`",
        VectorEncoding::Base64F32 => {
            "in 32 bits each: write `output.encoding: base64_f16`, which keeps three digits"
        }
        VectorEncoding::Base64F16 => "in 16 bits each: have the network answer fewer",
    };
    Err(LoadError::EmbeddingTooLong { length, limit, cure })
}

/// The kind and the brackets around the listed labels.
const ENVELOPE_BYTES: usize = 64;
/// Keys, punctuation, index and flag of a listed label.
const ENTRY_BYTES: usize = 64;

/// The most that `label` takes in a prediction, escapes included.
fn entry_bytes(label: &str) -> usize {
    label.chars().map(escaped_bytes).sum::<usize>() + MAX_SCORE_CHARS + ENTRY_BYTES
}

fn escaped_bytes(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        control if u32::from(control) < 0x20 => 6,
        other => other.len_utf8(),
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({} {})", self.manifest.name, self.manifest.version)
    }
}
