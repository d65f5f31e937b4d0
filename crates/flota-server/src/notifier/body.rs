use flota_core::{
    Callback, Outcome, Output, PortResult,
    ports::{Predictions, Requests},
};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::{
    standing::Standing,
    views::{self, CountsView, EndingView, ImageView, OutcomeView, PredictionView},
};

/// No outcome is smaller than this many bytes: where so many cannot fit, no prediction is read.
const MIN_OUTCOME_BYTES: usize = 100;

/// What a receiver gets, in the form that Standard Webhooks recommends.
#[derive(Serialize)]
struct Event<'a> {
    r#type: String,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    request: String,
    round: u32,
    status: String,
    counts: CountsView,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcomes: Option<&'a [OutcomeData]>,
    /// The outcomes would not fit: `url` has them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outcomes_omitted: bool,
}

/// How a task ended, without what only an investigation needs: `url` has the timings, attempts and times.
#[derive(Serialize)]
struct OutcomeData {
    n: u32,
    image: ImageView,
    model: String,
    #[serde(flatten)]
    ending: EndingData,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum EndingData {
    Succeeded {
        sha256: flota_core::Sha256,
        version: String,
        cached: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        prediction: Option<PredictionData>,
    },
    Failed {
        code: &'static str,
        message: String,
    },
    Expired,
    Canceled,
}

#[derive(Serialize)]
struct PredictionData {
    output: Output,
    /// Absent where nothing is flagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageData>,
}

#[derive(Serialize)]
struct ImageData {
    flags: Vec<String>,
}

impl From<OutcomeView> for OutcomeData {
    fn from(view: OutcomeView) -> Self {
        let OutcomeView { n, image, model, ending, .. } = view;
        let ending = match ending {
            EndingView::Succeeded { sha256, version, cached, prediction } => {
                let prediction = prediction.map(|PredictionView { output, image, .. }| {
                    let flags = image.flags;
                    let image = (!flags.is_empty()).then_some(ImageData { flags });
                    PredictionData { output, image }
                });
                EndingData::Succeeded { sha256, version, cached, prediction }
            }
            EndingView::Failed { code, message } => EndingData::Failed { code, message },
            EndingView::Expired => EndingData::Expired,
            EndingView::Canceled => EndingData::Canceled,
        };
        Self { n, image, model, ending }
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
    let Some(standing) = Standing::load(requests, callback.id.request).await? else {
        return Ok(None);
    };
    let standing = standing.cut_after(callback.id.round);
    let task_count = standing.request.task_count();
    let ended: Vec<(u32, u32, &Outcome)> = (0..task_count)
        .filter_map(|n| standing.latest(n).map(|(round, outcome)| (n, round, outcome)))
        .collect();
    if task_count as usize <= max_bytes / MIN_OUTCOME_BYTES {
        let outcomes = views::outcomes(predictions, &standing, &ended).await?;
        let outcomes: Vec<_> = outcomes.into_iter().map(OutcomeData::from).collect();
        let full = encode(callback, &standing, public_url, Some(&outcomes));
        if full.len() <= max_bytes {
            return Ok(Some(full));
        }
    }
    Ok(Some(encode(callback, &standing, public_url, None)))
}

fn encode(
    callback: &Callback,
    standing: &Standing,
    public_url: &Url,
    outcomes: Option<&[OutcomeData]>,
) -> String {
    let counts = standing.counts();
    let path = format!("v1/requests/{}", callback.id.request);
    let event = Event {
        r#type: callback.event.to_string(),
        timestamp: standing.finished_at().unwrap_or(callback.created_at),
        data: Data {
            request: callback.id.request.to_string(),
            round: callback.id.round,
            status: standing.status(&counts).to_string(),
            counts: counts.into(),
            url: format!("{}/{path}", public_url.as_str().trim_end_matches('/')),
            metadata: standing.request.metadata.as_ref(),
            outcomes,
            outcomes_omitted: outcomes.is_none(),
        },
    };
    serde_json::to_string(&event).expect("plain data is always JSON")
}
