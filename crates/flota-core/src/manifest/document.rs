//! The manifest as a whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{
    BatchSpec, InputSpec, LabelSource, Limits, ManifestError, OutputKind, OutputSpec,
    WeightsSource, bounds::within,
};
use crate::{ModelName, ModelVersion, Sha256};

/// How often a task is begun at most where the manifest says nothing.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// Most attempts that a manifest may ask for.
const MAX_ATTEMPTS: u64 = 1_000;
/// Longest version in characters: it is part of keys.
const MAX_VERSION_CHARS: usize = 64;
/// Longest description in characters.
const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Raised when a digest's meaning changes, so that no digest of before equals one of after.
const DIGEST_FORMAT: u32 = 1;

/// What `model.yaml` says of a model, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The model's name.
    pub name: ModelName,
    /// The model's version; bumped whenever its digest changes.
    #[serde(deserialize_with = "version")]
    pub version: ModelVersion,
    /// What the model is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the model needs a worker binary of its own.
    #[serde(default)]
    pub code: bool,
    /// The ONNX file, and the files with its external data.
    pub weights: WeightsSource,
    /// What the outputs are called; absent for an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSource>,
    /// From picture to tensor.
    #[serde(deserialize_with = "input")]
    pub input: InputSpec,
    /// From tensor to prediction.
    #[serde(deserialize_with = "output")]
    pub output: OutputSpec,
    /// How images are grouped.
    #[serde(default)]
    pub batch: BatchSpec,
    /// What an image may cost.
    #[serde(default)]
    pub limits: Limits,
    /// How often a task is begun at most.
    #[serde(default = "default_attempts", deserialize_with = "within::<1, MAX_ATTEMPTS, _, _>")]
    pub attempts: u32,
}

impl Manifest {
    /// Reads and checks `text`; `file` is how errors name it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and a cure.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = serde_saphyr::from_str(text)
            .map_err(|error| ManifestError::from_yaml(file, text, &error))?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err((key, reason)) => Err(ManifestError::about(file, text, key, reason)),
        }
    }

    /// The identity of what the model computes: the hash of its weights, labels, pre- and
    /// postprocessing, not of how it is batched or limited. `weights` is what [`WeightsSource::hash`]
    /// makes of all files of the weights, and `labels` the hash of the label file, where there is one;
    /// inline labels count by themselves.
    pub fn digest(&self, weights: &Sha256, labels: Option<&Sha256>) -> Sha256 {
        let (inline, skip_words) = match &self.labels {
            None => (None, 0),
            Some(LabelSource::Inline(inline)) => (Some(inline), 0),
            Some(LabelSource::Lines(lines)) => (None, lines.skip_words),
        };
        let identity =
            (DIGEST_FORMAT, weights, labels, inline, skip_words, &self.input, &self.output);
        let canonical = serde_json::to_vec(&identity).expect("plain data is always JSON");
        Sha256::of(&canonical)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let is_embedding = self.output.kind == OutputKind::Embedding;
        match (&self.labels, is_embedding) {
            (Some(_), true) => {
                return Err(("labels", "an embedding has no labels: leave them out".to_owned()));
            }
            (None, false) => {
                return Err(("output", "`labels` are missing: what is each output called?".into()));
            }
            (Some(LabelSource::Inline(labels)), false) => self.check_labels(labels)?,
            (Some(LabelSource::Lines(_)), false) | (None, true) => {}
        }
        let description_chars = self.description.iter().flat_map(|text| text.chars()).count();
        if description_chars > MAX_DESCRIPTION_CHARS {
            let reason = format!("longer than {MAX_DESCRIPTION_CHARS} characters");
            return Err(("description", reason));
        }
        Ok(())
    }

    fn check_labels(&self, labels: &[String]) -> Result<(), (&'static str, String)> {
        let mut seen = BTreeSet::new();
        for label in labels {
            if label.is_empty() || !seen.insert(label.as_str()) {
                return Err(("labels", format!("label `{label}` is empty or given twice")));
            }
        }
        match self.output.thresholds.keys().find(|label| !seen.contains(label.as_str())) {
            Some(label) => {
                Err(("output", format!("`thresholds` names `{label}`, which is not a label")))
            }
            None => Ok(()),
        }
    }
}

fn default_attempts() -> u32 {
    DEFAULT_ATTEMPTS
}

fn version<'de, D: Deserializer<'de>>(de: D) -> Result<ModelVersion, D::Error> {
    let text = String::deserialize(de)?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    if text.is_empty() || text.len() > MAX_VERSION_CHARS || !text.chars().all(is_allowed) {
        let reason = format!(
            "`{text}` is not a version: use 1 to {MAX_VERSION_CHARS} letters, digits and . - + _"
        );
        return Err(D::Error::custom(reason));
    }
    Ok(ModelVersion(text))
}

fn input<'de, D: Deserializer<'de>>(de: D) -> Result<InputSpec, D::Error> {
    let spec = InputSpec::deserialize(de)?;
    spec.check().map_err(D::Error::custom)?;
    Ok(spec)
}

fn output<'de, D: Deserializer<'de>>(de: D) -> Result<OutputSpec, D::Error> {
    let spec = OutputSpec::deserialize(de)?;
    spec.check().map_err(D::Error::custom)?;
    Ok(spec)
}
