//! The output of a model for one image.

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::{Embedding, limits::MAX_PREDICTION_BYTES};

/// Most characters of a score in JSON: nine digits, sign, point, exponent, and a comma.
pub const MAX_SCORE_CHARS: usize = 16;

/// The output of a model for one image, by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Output {
    /// Probabilities of labels that exclude each other, highest first.
    Softmax {
        /// The listed labels.
        scores: Vec<LabelScore>,
    },
    /// Independent probabilities of labels, highest first.
    Sigmoid {
        /// The listed labels.
        scores: Vec<LabelScore>,
    },
    /// Scores on a scale of the model's own, highest first.
    Scores {
        /// The listed labels.
        scores: Vec<LabelScore>,
    },
    /// Measured values, in the order of the labels.
    Regression {
        /// The listed labels.
        scores: Vec<LabelScore>,
    },
    /// A vector for comparing images.
    Embedding(Embedding),
}

/// The score of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// The index of the label in the model's output, from 0.
    pub index: u32,
    /// Its score.
    #[serde(serialize_with = "shortest")]
    pub score: f32,
    /// Whether the score reaches the label's threshold; `None` if the label has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flagged: Option<bool>,
    /// What the person who took the image can do about a flagged label, in words. `None` if the
    /// model gives no advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// An output that is larger than a prediction may be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the model's answer takes {size_bytes} bytes of {MAX_PREDICTION_BYTES}: list fewer labels")]
pub struct OutputTooLarge {
    /// Its size in bytes of JSON.
    pub size_bytes: usize,
}

impl Output {
    /// The listed labels; empty for an embedding.
    pub fn scores(&self) -> &[LabelScore] {
        match self {
            Self::Softmax { scores }
            | Self::Sigmoid { scores }
            | Self::Scores { scores }
            | Self::Regression { scores } => scores,
            Self::Embedding(_) => &[],
        }
    }

    /// The listed labels, mutable; empty for an embedding.
    pub fn scores_mut(&mut self) -> &mut [LabelScore] {
        match self {
            Self::Softmax { scores }
            | Self::Sigmoid { scores }
            | Self::Scores { scores }
            | Self::Regression { scores } => scores,
            Self::Embedding(_) => &mut [],
        }
    }

    /// Checks that the output fits a prediction.
    ///
    /// # Errors
    /// If its JSON is larger than [`MAX_PREDICTION_BYTES`].
    pub fn check_size(&self) -> Result<(), OutputTooLarge> {
        let size_bytes = serde_json::to_vec(self).expect("plain data is always JSON").len();
        if size_bytes > MAX_PREDICTION_BYTES {
            return Err(OutputTooLarge { size_bytes });
        }
        Ok(())
    }
}

/// Writes the shortest decimal that parses to the same `f32`. Serialized by way of a JSON value,
/// the score would have the seventeen digits of an `f64` otherwise.
fn shortest<S: Serializer>(score: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(widen(*score))
}

/// The `f64` whose shortest decimal is that of `score`.
pub(crate) fn widen(score: f32) -> f64 {
    let shortest = format!("{score:e}");
    shortest.parse().unwrap_or_else(|_| f64::from(score))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_written_short_and_read_back_equal() {
        let score = LabelScore {
            label: "cat".into(),
            index: 3,
            score: 0.1,
            flagged: Some(false),
            advice: None,
        };
        let output = Output::Softmax { scores: vec![score] };
        let value = serde_json::to_value(&output).unwrap();
        assert_eq!(
            value.to_string(),
            r#"{"kind":"softmax","scores":[{"flagged":false,"index":3,"label":"cat","score":0.1}]}"#
        );
        assert_eq!(serde_json::from_value::<Output>(value).unwrap(), output);
    }

    #[test]
    fn advice_is_written_where_there_is_some() {
        let text = r#"{"kind":"regression","scores":[{"label":"dark","index":0,"score":0.9,"flagged":true,"advice":"more light"}]}"#;
        let output: Output = serde_json::from_str(text).unwrap();
        assert_eq!(output.scores()[0].advice.as_deref(), Some("more light"));
        assert_eq!(serde_json::to_string(&output).unwrap(), text);
    }
}
