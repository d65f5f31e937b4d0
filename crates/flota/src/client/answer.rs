use flota_core::{
    Counts, ImageFacts, ImageRef, ModelName, ModelVersion, Output, RequestId, Status, WorkerName,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An uploaded image.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UploadAnswer {
    /// Its address.
    pub url: String,
}

/// Where a request stands, with a page of outcomes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RequestAnswer {
    /// The request.
    pub id: RequestId,
    /// Where it stands.
    pub status: Status,
    /// Whether it is finished.
    pub terminal: bool,
    /// How many tasks stand where.
    pub counts: Counts,
    /// When what happened.
    pub timings: TimingsAnswer,
    /// How tasks ended.
    pub outcomes: Vec<OutcomeAnswer>,
    /// There are more, after the task of this number.
    pub next_after: Option<u32>,
}

/// When a request was accepted and finished.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TimingsAnswer {
    /// When it was accepted.
    pub created_at: Timestamp,
    /// From then until it was finished.
    pub duration_ms: Option<u64>,
}

/// How a task ended.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OutcomeAnswer {
    /// The task's number in its request.
    pub n: u32,
    /// The image.
    pub image: ImageRef,
    /// The model.
    pub model: ModelName,
    /// How it ended.
    #[serde(flatten)]
    pub ending: EndingAnswer,
}

/// The four ways to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum EndingAnswer {
    /// There is a prediction.
    Succeeded {
        /// The version of the model that ran.
        version: ModelVersion,
        /// Whether nothing was computed.
        cached: bool,
        /// What the model says.
        prediction: Option<PredictionAnswer>,
    },
    /// There is none, and why.
    Failed {
        /// The stable code.
        code: String,
        /// One sentence.
        message: String,
    },
    /// The deadline passed first.
    Expired,
    /// The client took it back.
    Canceled,
}

/// What a model says of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PredictionAnswer {
    /// The labelled output.
    pub output: Output,
    /// What was looked at.
    pub image: ImageFacts,
}

/// A known model.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ModelAnswer {
    /// Its name.
    pub name: ModelName,
    /// Its current version.
    pub version: ModelVersion,
    /// The digest of its weights, labels, pre- and postprocessing.
    pub digest: String,
    /// The worker that serves it.
    pub worker: WorkerName,
    /// Its processes that are alive.
    pub workers_alive: u32,
    /// Its tasks without an outcome; none where its queue cannot be read.
    pub backlog: Option<BacklogAnswer>,
}

/// The work of a model.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BacklogAnswer {
    /// Tasks without an outcome.
    pub tasks: u64,
    /// Age of the oldest message that waits.
    pub oldest_age_seconds: Option<f64>,
    /// Tasks that arrive each second; none until it was measured twice.
    pub arrival_per_second: Option<f64>,
    /// Tasks that are done each second.
    pub service_per_second: f64,
    /// Until the tasks that wait are done; none where none is done.
    pub drain_seconds: Option<f64>,
}
