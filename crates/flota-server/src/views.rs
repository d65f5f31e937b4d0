//! What clients read of a request, in answers and in callbacks.

use std::collections::HashMap;

use flota_core::{
    Counts, Ending, Outcome, Output, PortResult, Prediction, PredictionKey, Timings,
    ports::Predictions,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::schemas, request_state::RequestState};

/// How a task ended; `outcome` says which.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Outcome, discriminator(
    property_name = "outcome",
    mapping(
        ("succeeded" = "#/components/schemas/SucceededOutcome"),
        ("failed" = "#/components/schemas/FailedOutcome"),
        ("expired" = "#/components/schemas/EndedOutcome"),
        ("canceled" = "#/components/schemas/EndedOutcome"),
    )
))]
pub(crate) enum OutcomeView {
    Succeeded(SucceededOutcome),
    Failed(FailedOutcome),
    Ended(EndedOutcome),
}

/// What is said of every task that ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedTask {
    /// `task_<request>-<n>`.
    pub(crate) task: String,
    /// The task's number: image index x number of models + model index.
    pub(crate) n: u32,
    /// The round in which it ended so.
    #[schema(minimum = 1)]
    pub(crate) round: u32,
    /// The image, as the client named it.
    pub(crate) image: ImageView,
    /// The model.
    pub(crate) model: String,
    /// How often the task was begun.
    pub(crate) attempts: u32,
    /// Where the time went.
    #[schema(value_type = schemas::Timings)]
    pub(crate) timings: Timings,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) ended_at: Timestamp,
}

/// There is a prediction.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SucceededOutcome {
    #[serde(flatten)]
    pub(crate) ended: EndedTask,
    pub(crate) outcome: Succeeded,
    /// The SHA-256 of the image's bytes.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub(crate) sha256: flota_core::Sha256,
    /// The version of the model that ran.
    pub(crate) version: String,
    /// Whether the prediction came from the cache, so that nothing was computed.
    pub(crate) cached: bool,
    /// What the model says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) prediction: Option<PredictionView>,
}

/// There is no prediction, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedOutcome {
    #[serde(flatten)]
    pub(crate) ended: EndedTask,
    pub(crate) outcome: Failed,
    /// The stable code.
    pub(crate) code: &'static str,
    /// One sentence.
    pub(crate) message: String,
}

/// The deadline passed first, or the client canceled the task.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedOutcome {
    #[serde(flatten)]
    pub(crate) ended: EndedTask,
    pub(crate) outcome: Ended,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Succeeded {
    Succeeded,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failed {
    Failed,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
    Expired,
    Canceled,
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

/// What a model says of an image's content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Prediction)]
pub(crate) struct PredictionView {
    /// The labelled output.
    #[schema(value_type = schemas::Output)]
    pub(crate) output: Output,
    /// What was seen of the image.
    #[schema(value_type = schemas::ImageFacts)]
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
    state: &RequestState,
    ended: &[(u32, u32, &Outcome)],
) -> PortResult<Vec<OutcomeView>> {
    let mut keys: Vec<PredictionKey> = ended.iter().filter_map(|(.., o)| key(o)).cloned().collect();
    keys.sort();
    keys.dedup();
    let known = if keys.is_empty() { Vec::new() } else { predictions.get(&keys).await? };
    let known: HashMap<PredictionKey, Prediction> =
        known.into_iter().map(|prediction| (prediction.key.clone(), prediction)).collect();
    let views = ended.iter().filter_map(|(n, round, outcome)| {
        let task = state.request.task(*n)?;
        let prediction = key(outcome).and_then(|key| known.get(key));
        let ended = EndedTask {
            task: task.id.to_string(),
            n: *n,
            round: *round,
            image: ImageView { url: task.image.url.clone(), id: task.image.id.clone() },
            model: task.route.model.to_string(),
            attempts: outcome.attempts,
            timings: outcome.timings.clone(),
            ended_at: outcome.ended_at,
        };
        Some(view(ended, &outcome.ending, prediction))
    });
    Ok(views.collect())
}

fn key(outcome: &Outcome) -> Option<&PredictionKey> {
    match &outcome.ending {
        Ending::Succeeded { prediction, .. } => Some(prediction),
        Ending::Failed { .. } | Ending::Expired | Ending::Canceled => None,
    }
}

fn view(ended: EndedTask, ending: &Ending, prediction: Option<&Prediction>) -> OutcomeView {
    match ending {
        Ending::Succeeded { prediction: key, cached } => OutcomeView::Succeeded(SucceededOutcome {
            ended,
            outcome: Succeeded::Succeeded,
            sha256: key.sha256,
            version: key.version.to_string(),
            cached: *cached,
            prediction: prediction.cloned().map(PredictionView::from),
        }),
        Ending::Failed { code, message } => OutcomeView::Failed(FailedOutcome {
            ended,
            outcome: Failed::Failed,
            code: code.as_str(),
            message: message.clone(),
        }),
        Ending::Expired => OutcomeView::Ended(EndedOutcome { ended, outcome: Ended::Expired }),
        Ending::Canceled => OutcomeView::Ended(EndedOutcome { ended, outcome: Ended::Canceled }),
    }
}
