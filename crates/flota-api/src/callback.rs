//! The body of a callback, in the form that Standard Webhooks recommends.

use flota_core::{
    CallbackEvent, Code, Counts, Metadata, ModelName, ModelVersion, Output, RequestId, Sha256,
    Status,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::schemas;
use crate::{
    Ended, EndedOutcome, EndedTask, Failed, FailedOutcome, ImageView, OutcomeView, PredictionView,
    Succeeded, SucceededOutcome, Word,
};

/// What a receiver gets, in the form that Standard Webhooks recommends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallbackBody {
    /// What it tells.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::CallbackEvent))]
    pub r#type: CallbackEvent,
    /// When the round finished.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Timestamp,
    /// The request that finished.
    pub data: CallbackData,
}

/// The request that finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallbackData {
    /// `req_…`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub request: RequestId,
    /// The round that finished: 1, and one more for each replay.
    pub round: u32,
    /// As in the answer of `url`.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Status))]
    pub status: Status,
    /// How many tasks stand where.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Counts))]
    pub counts: Counts,
    /// Where the request can be read.
    pub url: String,
    /// What the client submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schemas::Metadata>, nullable = false))]
    pub metadata: Option<Metadata>,
    /// How the tasks ended, by task; absent where they would not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub outcomes: Option<Vec<CallbackOutcome>>,
    /// The outcomes would not fit: `url` has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcomes_omitted: bool,
}

/// How a task ended, without what only an investigation needs: `url` has the timings, attempts and times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(discriminator(
    property_name = "outcome",
    mapping(
        ("succeeded" = "#/components/schemas/CallbackSucceeded"),
        ("failed" = "#/components/schemas/CallbackFailed"),
        ("expired" = "#/components/schemas/CallbackEnded"),
        ("canceled" = "#/components/schemas/CallbackEnded"),
    )
)))]
#[serde(untagged)]
#[allow(missing_docs, reason = "each has the type of its name")]
pub enum CallbackOutcome {
    Succeeded(SucceededCallback),
    Failed(FailedCallback),
    Ended(EndedCallback),
}

/// There is a prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CallbackSucceeded))]
pub struct SucceededCallback {
    /// The task.
    #[serde(flatten)]
    pub of: TaskOfCallback,
    /// Tells it from the other outcomes.
    pub outcome: Succeeded,
    /// The SHA-256 of the image's bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub sha256: Sha256,
    /// The version of the model that ran.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: ModelVersion,
    /// Whether the prediction came from the cache, so that nothing was computed.
    pub cached: bool,
    /// What the model says; absent once it was deleted by its age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub prediction: Option<CallbackPrediction>,
}

/// There is no prediction, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CallbackFailed))]
pub struct FailedCallback {
    /// The task.
    #[serde(flatten)]
    pub of: TaskOfCallback,
    /// Tells it from the other outcomes.
    pub outcome: Failed,
    /// The stable code.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Code))]
    pub code: Word<Code>,
    /// One sentence.
    pub message: String,
}

/// The deadline passed first, or the client canceled the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CallbackEnded))]
pub struct EndedCallback {
    /// The task.
    #[serde(flatten)]
    pub of: TaskOfCallback,
    /// Which of the two.
    pub outcome: Ended,
}

/// The task that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CallbackTask))]
pub struct TaskOfCallback {
    /// Its number in the request.
    pub n: u32,
    /// The image, as the client named it.
    pub image: ImageView,
    /// The model.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: ModelName,
}

/// What the model says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallbackPrediction {
    /// The labelled output.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Output))]
    pub output: Output,
    /// Absent where nothing is flagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub image: Option<ImageFlags>,
}

/// In what way people may see another image than the model did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CallbackImage))]
pub struct ImageFlags {
    /// Such as `animated`; at least one.
    pub flags: Vec<String>,
}

impl From<OutcomeView> for CallbackOutcome {
    fn from(view: OutcomeView) -> Self {
        let of = |EndedTask { n, image, model, .. }| TaskOfCallback { n, image, model };
        match view {
            OutcomeView::Succeeded(succeeded) => {
                let SucceededOutcome { ended, outcome, sha256, version, cached, prediction } =
                    succeeded;
                let prediction = prediction.map(|PredictionView { output, image, .. }| {
                    let flags = image.flags;
                    let image = (!flags.is_empty()).then_some(ImageFlags { flags });
                    CallbackPrediction { output, image }
                });
                let of = of(ended);
                Self::Succeeded(SucceededCallback {
                    of,
                    outcome,
                    sha256,
                    version,
                    cached,
                    prediction,
                })
            }
            OutcomeView::Failed(FailedOutcome { ended, outcome, code, message }) => {
                Self::Failed(FailedCallback { of: of(ended), outcome, code, message })
            }
            OutcomeView::Ended(EndedOutcome { ended, outcome }) => {
                Self::Ended(EndedCallback { of: of(ended), outcome })
            }
        }
    }
}
