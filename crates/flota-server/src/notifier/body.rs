use flota_core::{
    Callback, Outcome, PortResult,
    ports::{Predictions, Requests},
};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::{
    standing::Standing,
    views::{self, CountsView, OutcomeView},
};

/// Largest body that carries the outcomes; a larger one carries the link alone.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most outcomes that are tried to be carried: as many would not fit with the smallest of them.
const MAX_OUTCOMES: u32 = 250;

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
    outcomes: Option<Vec<OutcomeView>>,
}

/// The body of `callback`, the same at each attempt: where the request stood when its round
/// finished. `None` where the request is not known any more.
pub(super) async fn of(
    callback: &Callback,
    requests: &dyn Requests,
    predictions: &dyn Predictions,
    public_url: &Url,
) -> PortResult<Option<String>> {
    let Some(standing) = Standing::load(requests, callback.id.request).await? else {
        return Ok(None);
    };
    let standing = standing.cut_after(callback.id.round);
    let task_count = standing.request.task_count();
    let ended: Vec<(u32, u32, &Outcome)> = (0..task_count)
        .filter_map(|n| standing.latest(n).map(|(round, outcome)| (n, round, outcome)))
        .collect();
    if task_count <= MAX_OUTCOMES {
        let outcomes = views::outcomes(predictions, &standing, &ended).await?;
        let full = encode(callback, &standing, public_url, Some(outcomes));
        if full.len() < MAX_BODY_BYTES {
            return Ok(Some(full));
        }
    }
    Ok(Some(encode(callback, &standing, public_url, None)))
}

fn encode(
    callback: &Callback,
    standing: &Standing,
    public_url: &Url,
    outcomes: Option<Vec<OutcomeView>>,
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
        },
    };
    serde_json::to_string(&event).expect("plain data is always JSON")
}
