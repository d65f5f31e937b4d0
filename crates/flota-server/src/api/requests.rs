use axum::{Json, extract::State, http::StatusCode};
use flota_api::{CallbackView, OutcomeView, RequestTimings, RequestView, RoundView};
use flota_core::{Callback, Counts, Request, RequestId, Round};
use serde::Deserialize;
use tracing::info;
use utoipa::IntoParams;

use super::{
    extract::{Id, MAX_WAIT_SECONDS, Params, bounded_wait},
    problem::{Problem, ProblemCode},
    state::Api,
};
use crate::request_state::{EndedPage, Page, RequestState, views};

/// Default number of outcomes in a page.
const DEFAULT_PAGE: usize = 100;
/// Most outcomes in a page. With the largest predictions, the answer has a few megabytes.
const MAX_PAGE: usize = 200;

/// The query of `GET /v1/requests/{id}`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowParams {
    /// Answer when the request is finished, or after this many seconds, at most 60.
    wait: Option<u64>,
    /// Only outcomes of tasks with a higher number.
    after: Option<u32>,
    /// Most outcomes to return: 100 by default, at most 200.
    limit: Option<usize>,
    /// Return the outcomes of this round instead of the latest of each task.
    round: Option<u32>,
}

/// The query of `POST /v1/requests/{id}/callback`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RedeliverParams {
    /// The round of the callback; by default the last finished one.
    round: Option<u32>,
}

/// Shows the status and the outcomes of a request.
#[utoipa::path(
    get,
    path = "/v1/requests/{id}",
    tag = "requests",
    params(("id" = String, Path, description = "`req_…`"), ShowParams),
    responses(
        (status = 200, description = "Where it stands", body = RequestView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
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
    Ok(Json(load(&api, id, page).await?))
}

/// Delivers the callback of a finished round again, at once and with the same `webhook-id`.
#[utoipa::path(
    post,
    path = "/v1/requests/{id}/callback",
    tag = "requests",
    params(("id" = String, Path, description = "`req_…`"), RedeliverParams),
    responses(
        (status = 202, description = "It is due now", body = CallbackView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
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

/// The callback of `round`, or of the last round that has one.
async fn callback(api: &Api, id: RequestId, round: Option<u32>) -> Result<Callback, Problem> {
    let callbacks = api.platform.callbacks.of_request(id).await?;
    let is_wanted = |callback: &Callback| round.is_none_or(|round| round == callback.id.round);
    callbacks.into_iter().rfind(is_wanted).ok_or_else(|| {
        let detail = "the request asks for no callback, or the round is not finished yet";
        Problem::new(ProblemCode::CallbackNotFound, detail)
    })
}

/// Parses a request's id. Other text is answered with 404.
fn parse_id(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|error: flota_core::IdError| {
        Problem::new(ProblemCode::RequestNotFound, error.to_string())
    })
}

impl Page {
    /// The first page of the latest outcomes.
    pub(crate) fn first() -> Self {
        Self { after: None, limit: DEFAULT_PAGE, round: None }
    }
}

/// The view of a request that was accepted just now and has no outcomes.
pub(super) fn accepted(request: Request) -> RequestView {
    view(RequestState::accepted(request), Vec::new(), Vec::new(), None)
}

/// Reads the state of a request and a page of its outcomes.
pub(super) async fn load(api: &Api, id: RequestId, page: Page) -> Result<RequestView, Problem> {
    let (requests, predictions) = (api.platform.requests.as_ref(), &api.platform.predictions);
    let Some(state) = RequestState::load(requests, id).await? else {
        return Err(not_found(id));
    };
    let round_count = state.last().key.round;
    if page.round.is_some_and(|round| !(1..=round_count).contains(&round)) {
        return Err(round_not_found(round_count));
    }
    let EndedPage { ended, next_after } = state.page(requests, &page).await?;
    let outcomes = views(predictions.as_ref(), &state.request, &ended).await?;
    let callbacks = api.platform.callbacks.of_request(id).await?;
    Ok(view(state, callbacks, outcomes, next_after))
}

fn view(
    state: RequestState,
    callbacks: Vec<Callback>,
    outcomes: Vec<OutcomeView>,
    next_after: Option<u32>,
) -> RequestView {
    let status = state.status();
    let Round { opened_at, finished_at, .. } = state.last();
    let took = finished_at.map(|finished_at| finished_at.duration_since(*opened_at).as_millis());
    let timings = RequestTimings {
        created_at: state.request.created_at,
        finished_at: *finished_at,
        duration_ms: took.map(|ms| u64::try_from(ms).unwrap_or(0)),
    };
    let round = |(round, counts): (&Round, &Counts)| RoundView {
        round: round.key.round,
        opened_at: round.opened_at,
        finished_at: round.finished_at,
        counts: *counts,
    };
    let rounds = state.rounds.iter().zip(&state.round_counts).map(round).collect();
    let RequestState { request, counts, .. } = state;
    RequestView {
        id: request.id,
        status,
        terminal: status.is_terminal(),
        counts,
        models: request.routes.into_iter().map(|route| route.model).collect(),
        image_count: request.images.len(),
        priority: request.priority,
        metadata: request.metadata,
        timings,
        rounds,
        callbacks: callbacks.into_iter().map(CallbackView::from).collect(),
        outcomes,
        next_after,
    }
}

fn not_found(id: RequestId) -> Problem {
    Problem::new(ProblemCode::RequestNotFound, format!("`{id}` is not known"))
}

fn round_not_found(round_count: u32) -> Problem {
    let detail = match round_count {
        1 => "the request has round 1 alone".to_owned(),
        _ => format!("the request has the rounds 1 to {round_count}"),
    };
    Problem::new(ProblemCode::RoundNotFound, detail)
}
