//! The manifest as a whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    BatchSpec, CodeSpec, Format, InputSpec, LabelSource, Limits, ManifestError, OutputKind,
    OutputSpec, WeightsSource, bounds::within, code, error::TWO_DOCUMENTS,
};
use crate::{ModelName, ModelVersion};

/// How often a task is begun at most where the manifest says nothing.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// Most attempts that a manifest may ask for.
const MAX_ATTEMPTS: u64 = 1_000;
/// Longest version in characters: it is part of keys.
const MAX_VERSION_CHARS: usize = 64;
/// Longest description in characters.
const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// What `model.yaml` says of a model, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Manifest {
    /// What keys mean where they are absent; 1 where the manifest does not say.
    #[serde(default, skip_serializing_if = "Format::is_first")]
    pub format: Format,
    /// The model's name.
    pub name: ModelName,
    /// The model's version; bumped whenever its digest changes.
    #[serde(deserialize_with = "version")]
    pub version: ModelVersion,
    /// What the model is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The code that the model needs before or after its network.
    #[serde(default, with = "code")]
    pub code: Option<CodeSpec>,
    /// The ONNX file, and the files with its external data.
    pub weights: WeightsSource,
    /// What the outputs are called; absent for an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSource>,
    /// From image to tensor.
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

/// Completes what depends on the format, which may stand behind it.
impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let mut manifest = Self::deserialize(de)?;
        manifest.input.complete(manifest.format);
        Ok(manifest)
    }
}

/// The line that begins a second document behind a first one.
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
