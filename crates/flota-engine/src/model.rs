//! A model: its manifest, its labels and its network, loaded and found to fit each other.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use flota_core::{ImageFacts, Manifest, Output};

use crate::{
    DecodeError, DecodedImage, ElementType, Hooks, InferError, LoadError, LoadedNetwork,
    ModelCodes, NamedTensors, Network, NetworkAnswer, OutputRequest, Runtime, Session, Structure,
    Tensor, TensorSpec, Weights, decode_for,
    infer::{foreign_file, output_mismatch},
    output_check,
    postprocess::postprocess,
    preprocess,
};

/// A model that is ready to run, shared by the threads that run it.
pub struct Model {
    manifest: Manifest,
    labels: Vec<String>,
    runtime: Runtime,
    structure: Structure,
    network: Box<dyn Network>,
    hooks: Hooks,
    /// The name under which the network is fed an image.
    input: Arc<str>,
    /// What is read of the network: numbers of an image.
    output: TensorSpec,
    /// That of the checks, for the first who asks: making one takes long.
    spare: Mutex<Option<Box<dyn Session>>>,
}

impl Model {
    /// Loads a model that has no code of its own: see [`Self::load_with_code`].
    ///
    /// # Errors
    /// What does not fit, and what would: see [`LoadError`].
    pub fn load(
        runtime: &Runtime,
        manifest: Manifest,
        weights: &Weights,
        labels: Vec<String>,
    ) -> Result<Self, LoadError> {
        Self::load_with_code(runtime, manifest, weights, labels, &ModelCodes::default())
    }

    /// Loads `weights` into `runtime` and checks them, `labels` and the manifest against
    /// each other, down to a first run on a black image. `labels` are empty for an embedding. Its code is the one
    /// among `codes` that the manifest asks for.
    ///
    /// # Errors
    /// What does not fit, and what would: see [`LoadError`].
    pub fn load_with_code(
        runtime: &Runtime,
        manifest: Manifest,
        weights: &Weights,
        labels: Vec<String>,
        codes: &ModelCodes,
    ) -> Result<Self, LoadError> {
        let hooks = codes.hooks(&manifest, &labels)?;
        if let Some(file) = foreign_file(weights.onnx()) {
            return Err(LoadError::NotOnnx(file.to_owned()));
        }
        let name = manifest.output.name.as_deref();
        let structure = Structure::of(weights.onnx(), name);
        if let Some(operator) = structure.training {
            return Err(LoadError::TrainingMode(operator));
        }
        let request = OutputRequest { name, element: Some(ElementType::F32) };
        let inputs = std::slice::from_ref(&manifest.input);
        let loaded = runtime.load(weights, inputs, &[request])?;
        Self::of_network(runtime, manifest, labels, loaded, hooks, structure)
    }

    /// A model whose network need not be one of an engine, such as a fake in a test. It is treated as one that
    /// `runtime` runs, and checked as one that is [loaded](Self::load).
    ///
    /// # Errors
    /// What does not fit, and what would: see [`LoadError`].
    pub fn with_network(
        runtime: &Runtime,
        manifest: Manifest,
        labels: Vec<String>,
        network: Box<dyn Network>,
        hooks: Hooks,
    ) -> Result<Self, LoadError> {
        let session = network.session(1).map_err(LoadError::FirstRun)?;
        let loaded = LoadedNetwork { network, session };
        Self::of_network(runtime, manifest, labels, loaded, hooks, Structure::default())
    }

    fn of_network(
        runtime: &Runtime,
        manifest: Manifest,
        labels: Vec<String>,
        loaded: LoadedNetwork,
        hooks: Hooks,
        structure: Structure,
    ) -> Result<Self, LoadError> {
        let LoadedNetwork { network, session } = loaded;
        let input = network.inputs().first().ok_or(LoadError::None { role: "input" })?.name.clone();
        let output = network.outputs().first().ok_or(LoadError::None { role: "output" })?.clone();
        let is_vector = !output.shape.is_empty() && output.length().is_some_and(|n| n > 0);
        if output.element != ElementType::F32 || !is_vector {
            let type_name = output.element.onnx_name();
            return Err(output_mismatch(&output.name, type_name, Some(&output.shape)));
        }
        let model = Self {
            manifest,
            labels,
            runtime: runtime.clone(),
            structure,
            network,
            hooks,
            input,
            output,
            spare: Mutex::new(Some(session)),
        };
        let (spec, count) = (&model.manifest.output, model.output_count());
        output_check::check_labels(&model.labels, spec, count)?;
        output_check::check_size(&model.labels, spec, count)?;
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
        spare.filter(|_| threads == 1).map_or_else(|| self.network.session(threads), Ok)
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

    /// What a prediction says of `image`, whose file has `size_bytes`.
    pub fn facts(image: &DecodedImage, size_bytes: usize) -> ImageFacts {
        ImageFacts {
            width: image.original.0,
            height: image.original.1,
            format: image.format.to_string(),
            size_bytes: size_bytes as u64,
            flags: image.flags.iter().map(|flag| flag.as_str().to_owned()).collect(),
        }
    }

    /// What the network is fed of `image`.
    ///
    /// # Errors
    /// If the model's own code refuses the image.
    pub fn prepare(&self, image: &DecodedImage) -> Result<NamedTensors, InferError> {
        let tensor = preprocess(image, &self.manifest.input);
        let mut inputs = NamedTensors::one(self.input.clone(), tensor);
        self.hooks.run_before(image, &mut inputs)?;
        Ok(inputs)
    }

    /// What the network's `outputs` say of an image. It fits a prediction, unless the model has code of its own.
    ///
    /// # Errors
    /// If a number is not finite, or the model's own code refuses the answer.
    pub fn postprocess(
        &self,
        outputs: &NamedTensors,
        image: &ImageFacts,
    ) -> Result<Output, InferError> {
        let mut output = self.label(self.numbers(outputs)?)?;
        let answer = NetworkAnswer { image, outputs, spec: &self.manifest.output };
        self.hooks.run_after(&answer, &mut output)?;
        Ok(output)
    }

    /// The numbers among `outputs` that predictions are made of.
    ///
    /// # Errors
    /// If they are not there, or not as many as in the first run.
    pub fn numbers<'o>(&self, outputs: &'o NamedTensors) -> Result<&'o [f32], InferError> {
        let floats = outputs.get(&self.output.name).and_then(Tensor::floats);
        let (numbers, wanted) = (floats.unwrap_or_default(), self.output_count());
        if numbers.len() != wanted {
            return Err(InferError::WrongCount { found: numbers.len(), wanted });
        }
        Ok(numbers)
    }

    /// What `numbers` mean by the manifest's `output`, without the model's own code.
    ///
    /// # Errors
    /// If one of them is not finite.
    pub fn label(&self, numbers: &[f32]) -> Result<Output, InferError> {
        postprocess(numbers, &self.labels, &self.manifest.output)
    }

    /// What the network is fed of a black image, to try it with.
    ///
    /// # Errors
    /// If the model's own code refuses the image.
    pub fn black(&self) -> Result<NamedTensors, InferError> {
        self.prepare(&self.black_image())
    }

    fn black_image(&self) -> DecodedImage {
        DecodedImage::black(self.manifest.input.width, self.manifest.input.height)
    }

    pub(crate) fn input_name(&self) -> &str {
        &self.input
    }

    fn output_count(&self) -> usize {
        self.output.length().unwrap_or_default()
    }

    fn check_run(&self) -> Result<(), InferError> {
        let mut session = self.session(1)?;
        let image = self.black_image();
        let answers = session.run(&[self.prepare(&image)?])?;
        self.keep_spare(session);
        let facts = Self::facts(&image, 0);
        answers.iter().try_for_each(|outputs| self.postprocess(outputs, &facts).map(drop))
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({} {})", self.manifest.name, self.manifest.version)
    }
}
