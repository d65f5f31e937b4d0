//! What clients read of a request, in answers and in callbacks.

use std::collections::HashMap;

use flota_core::{
    Counts, Ending, Outcome, Output, PortResult, Prediction, PredictionKey, Timings,
    ports::Predictions,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::standing::Standing;

/// How a task ended, with its prediction if it succeeded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub(crate) struct OutcomeView {
    /// `task_<request>-<n>`.
    pub(crate) task: String,
    /// The task's number: image index x number of models + model index.
    pub(crate) n: u32,
    /// The round in which it ended so.
    pub(crate) round: u32,
    /// The image, as the client named it.
    pub(crate) image: ImageView,
    /// The model.
    pub(crate) model: String,
    /// How it ended.
    #[serde(flatten)]
    pub(crate) ending: EndingView,
    /// How often the task was begun.
    pub(crate) attempts: u32,
    /// Where the time went, in milliseconds: `queued_ms`, `fetch_ms`, `decode_ms`, `infer_ms`,
    /// and `batch_size`.
    #[schema(value_type = Object)]
    pub(crate) timings: Timings,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) ended_at: Timestamp,
}

/// An image, as the client named it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Image)]
pub(crate) struct ImageView {
    /// Where its bytes are.
    pub(crate) url: String,
    /// The client's own id for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

/// The four ways to end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[schema(as = Ending)]
pub(crate) enum EndingView {
    /// There is a prediction.
    Succeeded {
        /// The SHA-256 of the image's bytes.
        #[schema(value_type = String)]
        sha256: flota_core::Sha256,
        /// The version of the model that ran.
        version: String,
        /// Whether the prediction was known before, so that nothing was computed.
        cached: bool,
        /// What the model says.
        #[serde(skip_serializing_if = "Option::is_none")]
        prediction: Option<PredictionView>,
    },
    /// There is none, and why.
    Failed {
        /// The stable code.
        code: &'static str,
        /// One sentence.
        message: String,
    },
    /// The deadline passed first.
    Expired,
    /// The client took it back.
    Canceled,
}

/// What a model says of an image's content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Prediction)]
pub(crate) struct PredictionView {
    /// The labelled output; `kind` says of which kind.
    #[schema(value_type = Object)]
    pub(crate) output: Output,
    /// What was looked at: `width`, `height`, `format`, `size_bytes`.
    #[schema(value_type = Object)]
    pub(crate) image: flota_core::ImageFacts,
    /// When it was computed.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) computed_at: Timestamp,
}

/// How many tasks stand where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub(crate) struct CountsView {
    /// All.
    pub(crate) total: u32,
    /// Without an outcome.
    pub(crate) open: u32,
    /// With a prediction.
    pub(crate) succeeded: u32,
    /// With a code.
    pub(crate) failed: u32,
    /// Past their deadline.
    pub(crate) expired: u32,
    /// Taken back.
    pub(crate) canceled: u32,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { total, open, succeeded, failed, expired, canceled } = counts;
        Self { total, open, succeeded, failed, expired, canceled }
    }
}

impl From<Prediction> for PredictionView {
    fn from(prediction: Prediction) -> Self {
        let Prediction { key: _, output, image, computed_at } = prediction;
        Self { output, image, computed_at }
    }
}

/// The outcomes, by task and round, with their predictions.
pub(crate) async fn outcomes(
    predictions: &dyn Predictions,
    standing: &Standing,
    ended: &[(u32, u32, &Outcome)],
) -> PortResult<Vec<OutcomeView>> {
    let mut keys: Vec<PredictionKey> = ended.iter().filter_map(|(.., o)| key(o)).cloned().collect();
    keys.sort();
    keys.dedup();
    let known = if keys.is_empty() { Vec::new() } else { predictions.get(&keys).await? };
    let known: HashMap<PredictionKey, Prediction> =
        known.into_iter().map(|prediction| (prediction.key.clone(), prediction)).collect();
    let views = ended.iter().filter_map(|(n, round, outcome)| {
        let task = standing.request.task(*n)?;
        let prediction = key(outcome).and_then(|key| known.get(key));
        Some(OutcomeView {
            task: task.id.to_string(),
            n: *n,
            round: *round,
            image: ImageView { url: task.image.url.clone(), id: task.image.id.clone() },
            model: task.route.model.to_string(),
            ending: ending(outcome, prediction),
            attempts: outcome.attempts,
            timings: outcome.timings.clone(),
            ended_at: outcome.ended_at,
        })
    });
    Ok(views.collect())
}

fn key(outcome: &Outcome) -> Option<&PredictionKey> {
    match &outcome.ending {
        Ending::Succeeded { prediction, .. } => Some(prediction),
        Ending::Failed { .. } | Ending::Expired | Ending::Canceled => None,
    }
}

fn ending(outcome: &Outcome, prediction: Option<&Prediction>) -> EndingView {
    match &outcome.ending {
        Ending::Succeeded { prediction: key, cached } => EndingView::Succeeded {
            sha256: key.sha256,
            version: key.version.to_string(),
            cached: *cached,
            prediction: prediction.cloned().map(PredictionView::from),
        },
        Ending::Failed { code, message } => {
            EndingView::Failed { code: code.as_str(), message: message.clone() }
        }
        Ending::Expired => EndingView::Expired,
        Ending::Canceled => EndingView::Canceled,
    }
}
