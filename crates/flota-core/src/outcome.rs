//! How a task ended in a round.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Code, PredictionKey, limits::MAX_FAILURE_MESSAGE_CHARS};

/// How a task ended in a round, once and for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
    /// How often the task was begun, 1 where it was never interrupted. Fetches that failed by a fault of
    /// the image's host do not count.
    pub attempts: u32,
    /// Where the time went.
    #[serde(default)]
    pub timings: Timings,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// The four ways to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Ending {
    /// There is a prediction.
    Succeeded {
        /// Which.
        prediction: PredictionKey,
        /// Whether it was known before, so that nothing was computed.
        cached: bool,
    },
    /// There is none, and why.
    Failed {
        /// The stable code.
        code: Code,
        /// One safe sentence for the client.
        message: String,
    },
    /// The deadline passed first.
    Expired,
    /// The client took it back.
    Canceled,
}

/// Where a task's time went. Stages that were not reached are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From the sending of the task to its receipt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<f64>,
    /// Fetching the image, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch_ms: Option<f64>,
    /// Decoding and preparing it, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_ms: Option<f64>,
    /// Running the model on its batch, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_ms: Option<f64>,
    /// How many images were in that batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
}

/// The outcome of the task numbered `n`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// The task's number in its request.
    pub n: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Ending {
    /// A failure with its sentence, cut to what a record holds.
    pub fn failed(code: Code, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = match message.char_indices().nth(MAX_FAILURE_MESSAGE_CHARS) {
            Some((end, _)) => message[..end].to_owned(),
            None => message,
        };
        Self::Failed { code, message }
    }
}
