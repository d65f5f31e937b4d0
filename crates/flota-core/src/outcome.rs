//! How a task ended in a round.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Code, PredictionKey, limits::MAX_FAILURE_MESSAGE_CHARS};

/// The result of a task in a round. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The result: a prediction or a failure.
    #[serde(flatten)]
    pub ending: Ending,
    /// The number of attempts; 1 if the task was never interrupted. Fetches that failed because of
    /// the image's host do not count.
    pub attempts: u32,
    /// How long each stage took.
    #[serde(default)]
    pub timings: Timings,
    /// When the task ended.
    pub ended_at: Timestamp,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Ending {
    /// The task has a prediction.
    Succeeded {
        /// The key of the prediction.
        prediction: PredictionKey,
        /// Whether the prediction was cached, so that nothing was computed.
        cached: bool,
    },
    /// The task failed.
    Failed {
        /// The stable code of the failure.
        code: Code,
        /// One sentence that is safe to show to clients.
        message: String,
    },
    /// The deadline passed before the task ran.
    Expired,
    /// The client canceled the task.
    Canceled,
}

/// How long each stage took. Stages that the task did not reach are `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From sending the task to its receipt by a worker, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<f64>,
    /// Fetching the image, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch_ms: Option<f64>,
    /// Decoding and preparing the image, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_ms: Option<f64>,
    /// The run of the batch, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_ms: Option<f64>,
    /// The number of images in the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
}

/// The outcome of a task, with the number of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// The task's number in its request.
    pub n: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Ending {
    /// A failure whose message is cut to the length that a record may hold.
    pub fn failed(code: Code, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = match message.char_indices().nth(MAX_FAILURE_MESSAGE_CHARS) {
            Some((end, _)) => message[..end].to_owned(),
            None => message,
        };
        Self::Failed { code, message }
    }
}
