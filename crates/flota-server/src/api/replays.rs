use axum::{Json, extract::State};
use flota_core::{DeadLetterSelection, ModelName, Replay, ReplayId, ReplayState, StopReason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use super::{
    body::Incoming,
    extract::{Id, Params, read_optional_json},
    problem::{self, Problem, ProblemCode},
    resolutions::{Resolution, who},
    state::Api,
};

/// Replays of a list where the client does not say.
const DEFAULT_LIST: usize = 20;
/// Most replays of a list.
const MAX_LIST: usize = 100;
/// How often stopping is tried: the server that runs the replay writes at the same time.
const MAX_STOP_TRIES: usize = 20;

/// The query of `GET /v1/replays`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplayParams {
    /// Of this model.
    #[param(value_type = Option<String>)]
    model: Option<ModelName>,
    /// At most so many: 20 if absent, 100 at most.
    limit: Option<usize>,
}

/// Replays, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayList {
    replays: Vec<ReplayView>,
}

/// A replay of dead letters: who wanted what, when, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub(crate) struct ReplayView {
    /// `replay_…`.
    id: String,
    /// The model.
    model: String,
    /// Which dead letters.
    #[schema(value_type = Object)]
    selection: DeadLetterSelection,
    /// At most so many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    /// At most so many in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<u32>,
    /// The version that is to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_version: Option<String>,
    /// So many are evaluated before the others are begun.
    canary_count: u32,
    /// Where more of a hundred fail again, it stops.
    max_failed_percent: u32,
    /// Who wanted it.
    by: String,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// `running`, `completed` or `stopped`.
    state: &'static str,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why it was stopped: `TOO_MANY_FAILED`, `VERSION_NOT_CURRENT` or `BY_HAND`.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Who stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<String>,
    /// How far it is.
    counts: ReplayCounts,
}

/// How many dead letters of a replay stand where.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayCounts {
    /// Begun and not ended; of a stopped replay, not looked at any more.
    running: usize,
    /// Succeeded.
    succeeded: u32,
    /// Failed again.
    failed: u32,
    /// Messages that were sent again, which nobody can evaluate.
    resent: u32,
    /// Left as they are: somebody else decided, or the request is gone or runs still.
    skipped: u32,
}

/// Lists replays, the newest first.
#[utoipa::path(
    get,
    path = "/v1/replays",
    tag = "dead letters",
    params(ReplayParams),
    responses(
        (status = 200, description = "The replays", body = ReplayList),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
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

/// Shows where a replay stands.
#[utoipa::path(
    get,
    path = "/v1/replays/{id}",
    tag = "dead letters",
    params(("id" = String, Path, description = "`replay_…`")),
    responses(
        (status = 200, description = "The replay", body = ReplayView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show_replay(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Json<ReplayView>, Problem> {
    Ok(Json(find(&api, &id).await?.into()))
}

/// Stops a replay. What it has begun goes on.
#[utoipa::path(
    post,
    path = "/v1/replays/{id}/stop",
    tag = "dead letters",
    params(("id" = String, Path, description = "`replay_…`")),
    request_body = Resolution,
    responses(
        (status = 200, description = "It is stopped", body = ReplayView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn stop_replay(
    State(api): State<Api>,
    Id(id): Id,
    body: Incoming,
) -> Result<Json<ReplayView>, Problem> {
    let by = who(read_optional_json::<Resolution>(body).await?.by)?;
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

/// The replay, or the problem that there is none.
async fn find(api: &Api, id: &str) -> Result<Replay, Problem> {
    let not_found = || {
        let id: String = id.chars().take(80).collect();
        Problem::new(ProblemCode::ReplayNotFound, format!("`{id}` is not known"))
    };
    let replay_id: ReplayId = id.parse().map_err(|_| not_found())?;
    api.platform.replays.get(replay_id).await?.ok_or_else(not_found)
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        let Replay { plan, progress, .. } = replay;
        let (state, ended_at, why, stopped_by) = match replay.state {
            ReplayState::Running => ("running", None, None, None),
            ReplayState::Completed { at } => ("completed", Some(at), None, None),
            ReplayState::Stopped { at, why, by } => {
                ("stopped", Some(at), Some(why.to_string()), by)
            }
        };
        Self {
            id: replay.id.to_string(),
            model: replay.model.to_string(),
            selection: plan.selection,
            limit: plan.limit,
            rate_per_second: plan.rate_per_second,
            to_version: plan.to_version.map(|version| version.0),
            canary_count: plan.canary_count,
            max_failed_percent: plan.max_failed_percent,
            by: replay.by,
            created_at: replay.created_at,
            state,
            ended_at,
            why,
            stopped_by,
            counts: ReplayCounts {
                running: progress.in_flight.len(),
                succeeded: progress.succeeded_count,
                failed: progress.failed_count,
                resent: progress.resent_count,
                skipped: progress.skipped_count,
            },
        }
    }
}
