//! The whole manifest.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    BatchSpec, CodeSpec, Format, InputSpec, LabelSource, Limits, ManifestError, OutputKind,
    OutputSpec, WeightsSource, bounds::within, code, error::TWO_DOCUMENTS,
};
use crate::{ModelName, ModelVersion};

/// Most attempts at a task if the manifest does not set them.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// Most attempts that a manifest may ask for.
const MAX_ATTEMPTS: u64 = 1_000;
/// Longest version in characters. It is part of keys in the store.
const MAX_VERSION_CHARS: usize = 64;
/// Longest description in characters.
const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// The checked content of `model.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Manifest {
    /// The format, which defines the defaults of other keys; 1 if the manifest names none.
    #[serde(default, skip_serializing_if = "Format::is_first")]
    pub format: Format,
    /// The model's name.
    pub name: ModelName,
    /// The version of the model. It must change whenever the digest changes.
    #[serde(deserialize_with = "version")]
    pub version: ModelVersion,
    /// The purpose of the model, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The code of its own that the model needs.
    #[serde(default, with = "code")]
    pub code: Option<CodeSpec>,
    /// The ONNX file and its external data.
    pub weights: WeightsSource,
    /// The labels of the outputs; `None` for an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSource>,
    /// How an image becomes a tensor.
    pub input: InputSpec,
    /// How a tensor becomes a prediction.
    #[serde(deserialize_with = "output")]
    pub output: OutputSpec,
    /// How images are batched.
    #[serde(default)]
    pub batch: BatchSpec,
    /// The limits on an image.
    #[serde(default)]
    pub limits: Limits,
    /// Most attempts at a task.
    #[serde(default = "default_attempts", deserialize_with = "within::<1, MAX_ATTEMPTS, _, _>")]
    pub attempts: u32,
}

impl Manifest {
    /// Parses and checks `text`. Errors name the manifest as `file`.
    ///
    /// # Errors
    /// The first problem, with its line and a suggestion.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        if let Some(line) = second_document(text) {
            let reason = TWO_DOCUMENTS.to_owned();
            return Err(ManifestError { file: file.to_owned(), line, reason });
        }
        let manifest: Self = serde_saphyr::from_str(text)
            .map_err(|error| ManifestError::from_yaml(file, text, &error))?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err((key, reason)) => Err(ManifestError::about(file, text, key, reason)),
        }
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
            (Some(LabelSource::Lines(_) | LabelSource::Metadata(_)), false) | (None, true) => {}
        }
        self.input.check_format(self.format).map_err(|reason| ("input", reason))?;
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

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Sets the defaults that depend on the format, which may come after them in the file.
impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let mut manifest = Self::deserialize(de)?;
        manifest.input.complete(manifest.format);
        Ok(manifest)
    }
}

/// The line that starts a second YAML document.
fn second_document(text: &str) -> Option<u64> {
    let is_begun = |line: &str| !line.trim().is_empty() && !line.starts_with(['#', '%']);
    let mut lines = (1..).zip(text.lines());
    lines.by_ref().find(|(_, line)| is_begun(line) && !line.starts_with("---"))?;
    lines.find(|(_, line)| *line == "---" || line.starts_with("--- ")).map(|(number, _)| number)
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

fn output<'de, D: Deserializer<'de>>(de: D) -> Result<OutputSpec, D::Error> {
    let spec = OutputSpec::deserialize(de)?;
    spec.check().map_err(D::Error::custom)?;
    Ok(spec)
}
