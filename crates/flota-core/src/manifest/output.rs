//! How a network's numbers become a prediction.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

use crate::VectorEncoding;

/// Labels that a prediction lists if the manifest does not set `top_k`.
const DEFAULT_TOP_K: u32 = 5;
/// Largest `top_k` of a manifest.
const MAX_TOP_K: u32 = 1_000;

/// The meaning of the network's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The name of the output in the graph; may be `None` if the graph has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind of the numbers.
    pub kind: OutputKind,
    /// Whether Flota applies the softmax or sigmoid; `false` if the graph does.
    #[serde(default)]
    pub apply: bool,
    /// How many of the highest labels are listed. `None`: five, or all of a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// How an embedding is scaled; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    /// How predictions encode an embedding; `None`: by its length, see [`VectorEncoding::usual`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<VectorEncoding>,
    /// The thresholds at which labels are flagged. A flagged label is always listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, Threshold>,
}

/// The kind of a network's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// Probabilities of labels that exclude each other; they add up to 1.
    Softmax,
    /// Independent probabilities of labels.
    Sigmoid,
    /// Scores of labels, on a scale of the model's own.
    Scores,
    /// Measured values, one per label.
    Regression,
    /// A vector for comparing images, without labels.
    Embedding,
}

/// How an embedding is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// To a Euclidean length of 1. A zero vector stays zero, as in `torch.nn.functional.normalize`.
    L2,
}

/// When a label is flagged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// If its score is at least this; a plain number means the same.
    AtLeast(f32),
    /// If its score is less than this.
    Below(f32),
}

impl Threshold {
    /// Whether a label with this score is flagged.
    pub fn flags(self, score: f32) -> bool {
        match self {
            Self::AtLeast(limit) => score >= limit,
            Self::Below(limit) => score < limit,
        }
    }
}

impl OutputSpec {
    /// How many of `label_count` labels are listed, flagged ones aside.
    pub fn listed_count(&self, label_count: usize) -> usize {
        let asked = match (self.top_k, self.kind) {
            (Some(count), _) => count as usize,
            (None, OutputKind::Regression) => label_count,
            (None, _) => DEFAULT_TOP_K as usize,
        };
        asked.min(label_count)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.top_k.is_some_and(|count| count == 0 || count > MAX_TOP_K) {
            return Err(format!("`top_k` is not from 1 to {MAX_TOP_K}"));
        }
        let has_activation = matches!(self.kind, OutputKind::Softmax | OutputKind::Sigmoid);
        if self.apply && !has_activation {
            return Err("`apply` belongs to `kind: softmax` and `kind: sigmoid`".to_owned());
        }
        let lists_labels = self.top_k.is_some() || !self.thresholds.is_empty();
        if self.kind == OutputKind::Embedding && lists_labels {
            return Err("an embedding has no labels: leave out `top_k` and `thresholds`".to_owned());
        }
        let is_vector = self.normalize.is_some() || self.encoding.is_some();
        if self.kind != OutputKind::Embedding && is_vector {
            return Err("`normalize` and `encoding` belong to `kind: embedding`".to_owned());
        }
        let is_finite = |threshold: &Threshold| match threshold {
            Threshold::AtLeast(limit) | Threshold::Below(limit) => limit.is_finite(),
        };
        match self.thresholds.iter().find(|(_, threshold)| !is_finite(threshold)) {
            Some((label, _)) => Err(format!("the threshold of `{label}` must be a finite number")),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(ThresholdVisitor)
    }
}

struct ThresholdVisitor;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdFields {
    at_least: Option<f32>,
    below: Option<f32>,
}

impl<'de> de::Visitor<'de> for ThresholdVisitor {
    type Value = Threshold;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or `at_least` or `below` with a number")
    }

    fn visit_f64<E: de::Error>(self, limit: f64) -> Result<Threshold, E> {
        Ok(Threshold::AtLeast(limit as f32))
    }

    fn visit_u64<E: de::Error>(self, limit: u64) -> Result<Threshold, E> {
        Ok(Threshold::AtLeast(limit as f32))
    }

    fn visit_i64<E: de::Error>(self, limit: i64) -> Result<Threshold, E> {
        Ok(Threshold::AtLeast(limit as f32))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Threshold, A::Error> {
        let fields = ThresholdFields::deserialize(MapAccessDeserializer::new(map))?;
        match (fields.at_least, fields.below) {
            (Some(limit), None) => Ok(Threshold::AtLeast(limit)),
            (None, Some(limit)) => Ok(Threshold::Below(limit)),
            _ => Err(de::Error::custom("a threshold is either `at_least` or `below`")),
        }
    }
}
