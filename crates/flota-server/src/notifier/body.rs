use flota_core::{
    Callback, Metadata, Outcome, Output, PortResult,
    ports::{Predictions, Requests},
};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::{
    api::schemas,
    request_state::RequestState,
    views::{
        self, CountsView, Ended, EndedOutcome, EndedTask, Failed, FailedOutcome, ImageView,
        OutcomeView, PredictionView, Succeeded, SucceededOutcome,
    },
};

/// No outcome is smaller than this many bytes: where so many cannot fit, no prediction is read.
const MIN_OUTCOME_BYTES: usize = 100;

/// What a receiver gets, in the form that Standard Webhooks recommends.
#[derive(Serialize, ToSchema)]
#[schema(as = CallbackBody)]
pub(crate) struct Event<'a> {
    /// `request.finished`.
    r#type: String,
    /// When the round finished.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    data: Data<'a>,
}

/// The request that finished.
#[derive(Serialize, ToSchema)]
#[schema(as = CallbackData)]
pub(crate) struct Data<'a> {
    /// `req_…`.
    request: String,
    round: u32,
    /// As in the answer of `url`.
    status: String,
    counts: CountsView,
    /// Where the request can be read.
    url: String,
    /// What the client submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<OutcomeData>>, nullable = false)]
    outcomes: Option<&'a [OutcomeData]>,
    /// The outcomes would not fit: `url` has them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outcomes_omitted: bool,
}

/// How a task ended, without what only an investigation needs: `url` has the timings, attempts and times.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CallbackOutcome, discriminator(
    property_name = "outcome",
    mapping(
        ("succeeded" = "#/components/schemas/CallbackSucceeded"),
        ("failed" = "#/components/schemas/CallbackFailed"),
        ("expired" = "#/components/schemas/CallbackEnded"),
        ("canceled" = "#/components/schemas/CallbackEnded"),
    )
))]
pub(crate) enum OutcomeData {
    Succeeded(SucceededData),
    Failed(FailedData),
    Ended(EndedData),
}

/// There is a prediction.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackSucceeded)]
pub(crate) struct SucceededData {
    #[serde(flatten)]
    of: OutcomeOf,
    outcome: Succeeded,
    #[schema(value_type = String)]
    sha256: flota_core::Sha256,
    version: String,
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prediction: Option<PredictionData>,
}

/// There is no prediction, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackFailed)]
pub(crate) struct FailedData {
    #[serde(flatten)]
    of: OutcomeOf,
    outcome: Failed,
    code: &'static str,
    message: String,
}

/// The deadline passed first, or the client canceled the task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackEnded)]
pub(crate) struct EndedData {
    #[serde(flatten)]
    of: OutcomeOf,
    outcome: Ended,
}

/// The task that ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackTask)]
pub(crate) struct OutcomeOf {
    /// Its number in the request.
    n: u32,
    image: ImageView,
    model: String,
}

/// What the model says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackPrediction)]
pub(crate) struct PredictionData {
    #[schema(value_type = schemas::Output)]
    output: Output,
    /// Absent where nothing is flagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    image: Option<ImageData>,
}

/// In what way people may see another image than the model did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackImage)]
pub(crate) struct ImageData {
    flags: Vec<String>,
}

impl From<OutcomeView> for OutcomeData {
    fn from(view: OutcomeView) -> Self {
        let of = |EndedTask { n, image, model, .. }| OutcomeOf { n, image, model };
        match view {
            OutcomeView::Succeeded(succeeded) => {
                let SucceededOutcome { ended, outcome, sha256, version, cached, prediction } =
                    succeeded;
                let prediction = prediction.map(|PredictionView { output, image, .. }| {
                    let flags = image.flags;
                    let image = (!flags.is_empty()).then_some(ImageData { flags });
                    PredictionData { output, image }
                });
                let of = of(ended);
                Self::Succeeded(SucceededData { of, outcome, sha256, version, cached, prediction })
            }
            OutcomeView::Failed(FailedOutcome { ended, outcome, code, message }) => {
                Self::Failed(FailedData { of: of(ended), outcome, code, message })
            }
            OutcomeView::Ended(EndedOutcome { ended, outcome }) => {
                Self::Ended(EndedData { of: of(ended), outcome })
            }
        }
    }
}

/// The body of `callback`, of at most `max_bytes` where it carries outcomes, the same at each attempt:
/// where the request stood when its round finished. `None` where the request is not known any more.
pub(super) async fn of(
    callback: &Callback,
    requests: &dyn Requests,
    predictions: &dyn Predictions,
    public_url: &Url,
    max_bytes: usize,
) -> PortResult<Option<String>> {
    let Some(state) = RequestState::load(requests, callback.id.request).await? else {
        return Ok(None);
    };
    let state = state.cut_after(callback.id.round);
    let task_count = state.request.task_count();
    let ended: Vec<(u32, u32, &Outcome)> = (0..task_count)
        .filter_map(|n| state.latest(n).map(|(round, outcome)| (n, round, outcome)))
        .collect();
    if task_count as usize <= max_bytes / MIN_OUTCOME_BYTES {
        let outcomes = views::outcomes(predictions, &state, &ended).await?;
        let outcomes: Vec<_> = outcomes.into_iter().map(OutcomeData::from).collect();
        let full = encode(callback, &state, public_url, Some(&outcomes));
        if full.len() <= max_bytes {
            return Ok(Some(full));
        }
    }
    Ok(Some(encode(callback, &state, public_url, None)))
}

fn encode(
    callback: &Callback,
    state: &RequestState,
    public_url: &Url,
    outcomes: Option<&[OutcomeData]>,
) -> String {
    let counts = state.counts();
    let path = format!("v1/requests/{}", callback.id.request);
    let event = Event {
        r#type: callback.event.to_string(),
        timestamp: state.finished_at().unwrap_or(callback.created_at),
        data: Data {
            request: callback.id.request.to_string(),
            round: callback.id.round,
            status: state.status(&counts).to_string(),
            counts: counts.into(),
            url: format!("{}/{path}", public_url.as_str().trim_end_matches('/')),
            metadata: state.request.metadata.as_ref(),
            outcomes,
            outcomes_omitted: outcomes.is_none(),
        },
    };
    serde_json::to_string(&event).expect("plain data is always JSON")
}
