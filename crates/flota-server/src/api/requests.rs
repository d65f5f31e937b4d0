use axum::{Json, extract::State, http::StatusCode};
use flota_core::{Callback, RequestId};
use serde::Deserialize;
use tracing::info;
use utoipa::IntoParams;

use super::{
    extract::{Id, MAX_WAIT_SECONDS, Params, bounded_wait},
    problem::{self, Problem, ProblemCode},
    request_view::{CallbackView, DEFAULT_PAGE, MAX_PAGE, Page, RequestView, not_found},
    state::Api,
};

/// The query of `GET /v1/requests/{id}`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowParams {
    /// Answer when the request is finished, or after so many seconds, 60 at most.
    wait: Option<u64>,
    /// Only outcomes of tasks whose number is larger.
    after: Option<u32>,
    /// At most so many outcomes: 100 if absent, 200 at most.
    limit: Option<usize>,
    /// The outcomes as they were recorded in this round, instead of the latest of each task.
    round: Option<u32>,
}

/// The query of a redelivery.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RedeliverParams {
    /// The callback of this round; of the last finished one if absent.
    round: Option<u32>,
}

/// Shows where a request stands.
#[utoipa::path(
    get,
    path = "/v1/requests/{id}",
    tag = "requests",
    params(("id" = String, Path, description = "`req_…`"), ShowParams),
    responses(
        (status = 200, description = "Where it stands", body = RequestView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show_request(
    State(api): State<Api>,
    Id(id): Id,
    Params(params): Params<ShowParams>,
) -> Result<Json<RequestView>, Problem> {
    let id = parse_id(&id)?;
    let limit = params.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    if let Some(seconds) = params.wait {
        if seconds > MAX_WAIT_SECONDS {
            let detail = format!("`wait`: 0 to {MAX_WAIT_SECONDS} seconds");
            return Err(Problem::new(ProblemCode::InvalidQuery, detail));
        }
        api.until_finished(id, bounded_wait(seconds)).await?;
    }
    let page = Page { after: params.after, limit, round: params.round };
    Ok(Json(RequestView::load(&api, id, page).await?))
}

/// Delivers a finished round's callback once more, at once, with the same `webhook-id`.
#[utoipa::path(
    post,
    path = "/v1/requests/{id}/callback",
    tag = "requests",
    params(("id" = String, Path, description = "`req_…`"), RedeliverParams),
    responses(
        (status = 202, description = "It is due now", body = CallbackView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn redeliver_callback(
    State(api): State<Api>,
    Id(id): Id,
    Params(params): Params<RedeliverParams>,
) -> Result<(StatusCode, Json<CallbackView>), Problem> {
    let id = parse_id(&id)?;
    if api.platform.requests.request(id).await?.is_none() {
        return Err(not_found(id));
    }
    let callback = callback(&api, id, params.round).await?;
    api.platform.callbacks.redeliver(callback.id, api.platform.clock.now()).await?;
    api.notifications.callback_due();
    info!(request.id = %id, "a callback is to be delivered once more");
    let callback = self::callback(&api, id, params.round).await?;
    Ok((StatusCode::ACCEPTED, Json(callback.into())))
}

/// The callback of `round`, or else of the last round that has one.
async fn callback(api: &Api, id: RequestId, round: Option<u32>) -> Result<Callback, Problem> {
    let callbacks = api.platform.callbacks.of_request(id).await?;
    let is_wanted = |callback: &Callback| round.is_none_or(|round| round == callback.id.round);
    callbacks.into_iter().rfind(is_wanted).ok_or_else(|| {
        let detail = "the request asks for no callback, or the round is not finished yet";
        Problem::new(ProblemCode::CallbackNotFound, detail)
    })
}

/// The id of a request; another text names no request.
fn parse_id(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|error: flota_core::IdError| {
        Problem::new(ProblemCode::RequestNotFound, error.to_string())
    })
}
