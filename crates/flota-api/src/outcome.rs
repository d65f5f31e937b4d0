//! How tasks ended, and what models say.

use flota_core::{
    Code, Ending, ImageFacts, ModelName, ModelVersion, Outcome, Output, Prediction, Sha256, Task,
    Timings,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Word;
#[cfg(feature = "openapi")]
use crate::schemas;

/// How a task ended; `outcome` says which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Outcome, discriminator(
    property_name = "outcome",
    mapping(
        ("succeeded" = "#/components/schemas/SucceededOutcome"),
        ("failed" = "#/components/schemas/FailedOutcome"),
        ("expired" = "#/components/schemas/EndedOutcome"),
        ("canceled" = "#/components/schemas/EndedOutcome"),
    )
)))]
#[serde(untagged)]
#[allow(missing_docs, reason = "each has the type of its name")]
pub enum OutcomeView {
    Succeeded(SucceededOutcome),
    Failed(FailedOutcome),
    Ended(EndedOutcome),
}

/// What is said of every task that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndedTask {
    /// `task_<request>-<n>`.
    pub task: String,
    /// The task's number: image index x number of models + model index.
    pub n: u32,
    /// The round in which it ended so.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub round: u32,
    /// The image, as the client named it.
    pub image: ImageView,
    /// The model.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: ModelName,
    /// How often the task was begun.
    pub attempts: u32,
    /// Where the time went.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Timings))]
    pub timings: Timings,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ended_at: Timestamp,
}

/// There is a prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SucceededOutcome {
    /// The task.
    #[serde(flatten)]
    pub ended: EndedTask,
    /// Tells it from the other outcomes.
    pub outcome: Succeeded,
    /// The SHA-256 of the image's bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Sha256,
    /// The version of the model that ran.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: ModelVersion,
    /// Whether the prediction came from the cache, so that nothing was computed.
    pub cached: bool,
    /// What the model says; absent once it was deleted by its age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub prediction: Option<PredictionView>,
}

/// There is no prediction, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedOutcome {
    /// The task.
    #[serde(flatten)]
    pub ended: EndedTask,
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndedOutcome {
    /// The task.
    #[serde(flatten)]
    pub ended: EndedTask,
    /// Which of the two.
    pub outcome: Ended,
}

/// The `outcome` of a task with a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "it has one value")]
pub enum Succeeded {
    Succeeded,
}

/// The `outcome` of a task without a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "it has one value")]
pub enum Failed {
    Failed,
}

/// The `outcome` of a task that no worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The deadline passed first.
    Expired,
    /// The client took it back.
    Canceled,
}

/// An image, as the client named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Image))]
pub struct ImageView {
    /// Where its bytes are.
    pub url: String,
    /// The client's own id for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub id: Option<String>,
}

/// What a model says of an image's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Prediction))]
pub struct PredictionView {
    /// The labelled output.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Output))]
    pub output: Output,
    /// What was seen of the image.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::ImageFacts))]
    pub image: ImageFacts,
    /// When it was computed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub computed_at: Timestamp,
}

impl OutcomeView {
    /// The outcome of `task` in `round`, with its prediction where it has one and it is known still.
    pub fn new(
        task: &Task<'_>,
        round: u32,
        outcome: &Outcome,
        prediction: Option<&Prediction>,
    ) -> Self {
        let ended = EndedTask {
            task: task.id.to_string(),
            n: task.id.n,
            round,
            image: ImageView { url: task.image.url.clone(), id: task.image.id.clone() },
            model: task.route.model.clone(),
            attempts: outcome.attempts,
            timings: outcome.timings.clone(),
            ended_at: outcome.ended_at,
        };
        match &outcome.ending {
            Ending::Succeeded { prediction: key, cached } => Self::Succeeded(SucceededOutcome {
                ended,
                outcome: Succeeded::Succeeded,
                sha256: key.sha256,
                version: key.version.clone(),
                cached: *cached,
                prediction: prediction.cloned().map(PredictionView::from),
            }),
            Ending::Failed { code, message } => Self::Failed(FailedOutcome {
                ended,
                outcome: Failed::Failed,
                code: (*code).into(),
                message: message.clone(),
            }),
            Ending::Expired => Self::Ended(EndedOutcome { ended, outcome: Ended::Expired }),
            Ending::Canceled => Self::Ended(EndedOutcome { ended, outcome: Ended::Canceled }),
        }
    }

    /// The task that ended.
    pub fn task(&self) -> &EndedTask {
        match self {
            Self::Succeeded(SucceededOutcome { ended, .. })
            | Self::Failed(FailedOutcome { ended, .. })
            | Self::Ended(EndedOutcome { ended, .. }) => ended,
        }
    }

    /// What the model says, where it says something.
    pub fn prediction(&self) -> Option<&PredictionView> {
        match self {
            Self::Succeeded(succeeded) => succeeded.prediction.as_ref(),
            Self::Failed(_) | Self::Ended(_) => None,
        }
    }

    /// Whether the prediction came from the cache.
    pub fn is_cached(&self) -> bool {
        matches!(self, Self::Succeeded(SucceededOutcome { cached: true, .. }))
    }
}

impl From<Prediction> for PredictionView {
    fn from(prediction: Prediction) -> Self {
        let Prediction { key: _, output, image, computed_at } = prediction;
        Self { output, image, computed_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_read_back_as_it_was_written() {
        let task = r#""task":"task_1-0","n":0,"round":1,"image":{"url":"https://a/b"},"model":"cat","attempts":1,"timings":{"infer_ms":1.7},"ended_at":"2026-11-21T10:00:00Z""#;
        let sha256 = "0".repeat(64);
        for rest in [
            format!(
                r#""outcome":"succeeded","sha256":"{sha256}","version":"1","cached":true,"prediction":{{"output":{{"kind":"softmax","scores":[{{"label":"a","index":0,"score":0.1}}]}},"image":{{"width":8,"height":8,"format":"png","size_bytes":9}},"computed_at":"2026-11-21T10:00:00Z"}}"#
            ),
            format!(r#""outcome":"succeeded","sha256":"{sha256}","version":"1","cached":false"#),
            r#""outcome":"failed","code":"DECODE_CORRUPT","message":"cut off""#.to_owned(),
            r#""outcome":"failed","code":"OF_A_LATER_VERSION","message":"new""#.to_owned(),
            r#""outcome":"expired""#.to_owned(),
            r#""outcome":"canceled""#.to_owned(),
        ] {
            let text = format!("{{{task},{rest}}}");
            let outcome: OutcomeView = serde_json::from_str(&text).unwrap();
            assert_eq!(outcome.task().model.as_str(), "cat");
            assert_eq!(serde_json::to_string(&outcome).unwrap(), text);
        }
    }
}
