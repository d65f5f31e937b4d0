use axum::{Json, extract::State};
use flota_api::{ReplayList, ReplayView, Resolution};
use flota_core::{ModelName, Replay, ReplayId, ReplayState, StopReason};
use serde::Deserialize;
use tracing::info;
use utoipa::IntoParams;

use super::{
    acting::ActedBy,
    extract::{Id, Params},
    problem::{Problem, ProblemCode},
    state::Api,
};

/// Default size of a list.
const DEFAULT_LIST: usize = 20;
/// Largest list.
const MAX_LIST: usize = 100;
/// How often stopping is tried. The server that runs the replay writes at the same time.
const MAX_STOP_TRIES: usize = 20;

/// The query of `GET /v1/replays`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplayParams {
    /// Only replays of this model.
    #[param(value_type = Option<String>)]
    model: Option<ModelName>,
    /// Most replays to return: 20 by default, at most 100.
    limit: Option<usize>,
}

/// Lists replays, newest first.
#[utoipa::path(
    get,
    path = "/v1/replays",
    tag = "dead letters",
    params(ReplayParams),
    responses(
        (status = 200, description = "The replays", body = ReplayList),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_replays(
    State(api): State<Api>,
    Params(params): Params<ReplayParams>,
) -> Result<Json<ReplayList>, Problem> {
    let limit = params.limit.unwrap_or(DEFAULT_LIST).clamp(1, MAX_LIST);
    let replays = api.platform.replays.list(params.model.as_ref(), limit).await?;
    Ok(Json(ReplayList { replays: replays.into_iter().map(ReplayView::from).collect() }))
}

/// Shows the state and the progress of a replay.
#[utoipa::path(
    get,
    path = "/v1/replays/{id}",
    tag = "dead letters",
    params(("id" = String, Path, description = "`replay_…`")),
    responses(
        (status = 200, description = "The replay", body = ReplayView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show_replay(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Json<ReplayView>, Problem> {
    Ok(Json(find(&api, &id).await?.into()))
}

/// Stops a replay. Tasks that were sent still run.
#[utoipa::path(
    post,
    path = "/v1/replays/{id}/stop",
    tag = "dead letters",
    params(("id" = String, Path, description = "`replay_…`")),
    request_body = Resolution,
    responses(
        (status = 200, description = "It is stopped", body = ReplayView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn stop_replay(
    State(api): State<Api>,
    Id(id): Id,
    call: ActedBy<Resolution>,
) -> Result<Json<ReplayView>, Problem> {
    let by = call.by;
    for _ in 0..MAX_STOP_TRIES {
        let mut replay = find(&api, &id).await?;
        if !replay.is_running() {
            let detail = format!("`{}` has ended", replay.id);
            return Err(Problem::new(ProblemCode::ReplayEnded, detail));
        }
        let (at, why) = (api.platform.clock.now(), StopReason::ByHand);
        replay.state = ReplayState::Stopped { at, why, by: Some(by.clone()) };
        if api.platform.replays.update(&replay).await? {
            info!(replay.id = %replay.id, model = %replay.model, by, "replay stopped by hand");
            return Ok(Json(replay.into()));
        }
    }
    Err(Problem::new(ProblemCode::StoreUnavailable, "the replay is busy, try again in a moment"))
}

/// Reads a replay. A problem if it does not exist.
async fn find(api: &Api, id: &str) -> Result<Replay, Problem> {
    let not_found = || {
        let id: String = id.chars().take(80).collect();
        Problem::new(ProblemCode::ReplayNotFound, format!("`{id}` is not known"))
    };
    let replay_id: ReplayId = id.parse().map_err(|_| not_found())?;
    api.platform.replays.get(replay_id).await?.ok_or_else(not_found)
}
