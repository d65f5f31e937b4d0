use flota_api::{CallbackBody, CallbackData, CallbackOutcome};
use flota_core::{
    Callback, PortResult,
    ports::{Predictions, Requests},
};
use url::Url;

use crate::request_state::{RequestState, views};

/// Every outcome has at least this many bytes. If so many do not fit, none is read.
const MIN_OUTCOME_BYTES: usize = 100;

/// The body of `callback`: the state of the request when the round finished. With outcomes it has
/// at most `max_bytes`, so they are left out if they do not fit. `None` if the request does not
/// exist any more.
pub(super) async fn of(
    callback: &Callback,
    requests: &dyn Requests,
    predictions: &dyn Predictions,
    public_url: &Url,
    max_bytes: usize,
) -> PortResult<Option<String>> {
    let id = callback.id;
    let Some(state) = RequestState::load_until(requests, id.request, id.round).await? else {
        return Ok(None);
    };
    let mut body = without_outcomes(callback, &state, public_url);
    if state.request.task_count() as usize <= max_bytes / MIN_OUTCOME_BYTES {
        let ended = state.all(requests).await?;
        let outcomes = views(predictions, &state.request, &ended).await?;
        body.data.outcomes = Some(outcomes.into_iter().map(CallbackOutcome::from).collect());
        let full = encode(&body);
        if full.len() <= max_bytes {
            return Ok(Some(full));
        }
        body.data.outcomes = None;
    }
    body.data.outcomes_omitted = true;
    Ok(Some(encode(&body)))
}

fn without_outcomes(callback: &Callback, state: &RequestState, public_url: &Url) -> CallbackBody {
    let path = format!("v1/requests/{}", callback.id.request);
    CallbackBody {
        r#type: callback.event,
        timestamp: state.finished_at().unwrap_or(callback.created_at),
        data: CallbackData {
            request: callback.id.request,
            round: callback.id.round,
            status: state.status(),
            counts: state.counts,
            url: format!("{}/{path}", public_url.as_str().trim_end_matches('/')),
            metadata: state.request.metadata.clone(),
            outcomes: None,
            outcomes_omitted: false,
        },
    }
}

fn encode(body: &CallbackBody) -> String {
    serde_json::to_string(body).expect("plain data is always JSON")
}
