//! Code of a model's own, before and after its network.

use std::{fmt, sync::Arc};

use flota_core::{CodeSpec, ImageFacts, LabelScore, Manifest, Output, OutputSpec};
use serde::de::DeserializeOwned;

use crate::{Cause, DecodedImage, InferError, LoadError, NamedTensors};

/// The prefix of the package, and of the binary, of a model with code.
const PACKAGE_PREFIX: &str = "flota-";

type Before = dyn Fn(&DecodedImage, &mut NamedTensors) -> Result<(), Cause> + Send + Sync;
type After = dyn Fn(&NetworkAnswer<'_>, &mut Output) -> Result<(), Cause> + Send + Sync;
type Start = dyn Fn(&CodeSpec, &[String]) -> Result<Hooks, Cause> + Send + Sync;

/// What runs before and after a network. It is called for each image, from several threads at the same time, and
/// must say the same of the same image always. An error fails the image with `INFER_FAILED`. A panic before the
/// network fails it with `DECODE_FAILED`, one after it ends the worker, as a crash of the network does.
#[derive(Clone, Default)]
pub struct Hooks {
    before: Option<Arc<Before>>,
    after: Option<Arc<After>>,
}

/// What a network answered to an image.
#[derive(Debug, Clone, Copy)]
pub struct NetworkAnswer<'a> {
    /// Size, format and flags of the image, upright, before it was resized.
    pub image: &'a ImageFacts,
    /// All that the model reads of the network.
    pub outputs: &'a NamedTensors,
    /// What the manifest makes of them.
    pub spec: &'a OutputSpec,
}

/// The code of a model. Its manifest asks for it by `code: {revision: …}`, and only then is it run.
#[derive(Clone)]
pub struct ModelCode {
    model: String,
    revision: u32,
    start: Arc<Start>,
}

/// The code that a program has, by model.
#[derive(Debug, Clone, Default)]
pub struct ModelCodes(Vec<ModelCode>);

impl Hooks {
    /// Runs `before` once an image is decoded and prepared: it may change the network's inputs.
    #[must_use]
    pub fn before(
        self,
        before: impl Fn(&DecodedImage, &mut NamedTensors) -> Result<(), Cause> + Send + Sync + 'static,
    ) -> Self {
        Self { before: Some(Arc::new(before)), ..self }
    }

    /// Runs `after` once the network has answered: it may change what the manifest's `output` makes of the answer.
    #[must_use]
    pub fn after(
        self,
        after: impl Fn(&NetworkAnswer<'_>, &mut Output) -> Result<(), Cause> + Send + Sync + 'static,
    ) -> Self {
        Self { after: Some(Arc::new(after)), ..self }
    }

    pub(crate) fn run_before(
        &self,
        image: &DecodedImage,
        inputs: &mut NamedTensors,
    ) -> Result<(), InferError> {
        let Some(before) = &self.before else { return Ok(()) };
        before(image, inputs).map_err(|source| InferError::Code { source })
    }

    pub(crate) fn run_after(
        &self,
        answer: &NetworkAnswer<'_>,
        output: &mut Output,
    ) -> Result<(), InferError> {
        let Some(after) = &self.after else { return Ok(()) };
        after(answer, output).map_err(|source| InferError::Code { source })
    }
}

impl NetworkAnswer<'_> {
    /// Gives a label another score, and the flag that its threshold in the manifest gives to that score.
    pub fn rescore(&self, entry: &mut LabelScore, score: f32) {
        entry.score = score;
        entry.flagged = self.spec.thresholds.get(&entry.label).map(|limit| limit.flags(score));
    }
}

impl ModelCode {
    /// The code of the model whose package is `package`: `env!("CARGO_PKG_NAME")`, which is `flota-<model>`.
    /// `revision` is raised whenever the code comes to say anything else of an image, and so is that of the
    /// manifest, which is part of the model's digest.
    pub fn new(package: &str, revision: u32, hooks: Hooks) -> Self {
        Self::started_by(package, revision, move |spec, _| match spec.parameters.is_empty() {
            true => Ok(hooks.clone()),
            false => Err("the code takes none".into()),
        })
    }

    /// [Code](Self::new) that `start` makes of the `parameters` of the manifest's `code`, and of the labels.
    pub fn with_parameters<P: DeserializeOwned>(
        package: &str,
        revision: u32,
        start: impl Fn(P, &[String]) -> Result<Hooks, Cause> + Send + Sync + 'static,
    ) -> Self {
        Self::started_by(package, revision, move |spec, labels| {
            start(spec.read_parameters()?, labels)
        })
    }

    fn started_by(
        package: &str,
        revision: u32,
        start: impl Fn(&CodeSpec, &[String]) -> Result<Hooks, Cause> + Send + Sync + 'static,
    ) -> Self {
        let model = package.strip_prefix(PACKAGE_PREFIX).unwrap_or(package).to_owned();
        Self { model, revision, start: Arc::new(start) }
    }
}

impl ModelCodes {
    /// Whether the code that `manifest` asks for is there, if it asks for any.
    ///
    /// # Errors
    /// [`LoadError::NeedsCode`], which names the program that has it.
    pub fn check(&self, manifest: &Manifest) -> Result<(), LoadError> {
        self.find(manifest).map(drop)
    }

    /// The hooks of the model of `manifest`; none where it asks for no code.
    pub(crate) fn hooks(&self, manifest: &Manifest, labels: &[String]) -> Result<Hooks, LoadError> {
        let Some((code, spec)) = self.find(manifest)? else { return Ok(Hooks::default()) };
        let refused = |error: Cause| LoadError::CodeParameters(error.to_string());
        (code.start)(spec, labels).map_err(refused)
    }

    fn find<'a>(
        &'a self,
        manifest: &'a Manifest,
    ) -> Result<Option<(&'a ModelCode, &'a CodeSpec)>, LoadError> {
        let Some(spec) = &manifest.code else { return Ok(None) };
        let name = manifest.name.as_str();
        let known = self.0.iter().filter(|code| code.model == name);
        match known.clone().find(|code| code.revision == spec.revision.get()) {
            Some(code) => Ok(Some((code, spec))),
            None => Err(LoadError::NeedsCode {
                revision: spec.revision.get(),
                found: known.map(|code| code.revision).max(),
                binary: format!("{PACKAGE_PREFIX}{name}"),
            }),
        }
    }
}

impl<const N: usize> From<[ModelCode; N]> for ModelCodes {
    fn from(codes: [ModelCode; N]) -> Self {
        Self(codes.into())
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.before.is_some(), self.after.is_some());
        f.debug_struct("Hooks").field("before", &before).field("after", &after).finish()
    }
}

impl fmt::Debug for ModelCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelCode({} {})", self.model, self.revision)
    }
}
