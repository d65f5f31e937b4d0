use axum::{Json, extract::State};
use flota_core::{
    DeadLetter, DeadLetterState, Fault, ModelName, Reason, Subject, ports::DeadLetterFilter,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Id, Params},
    problem::{self, Problem, ProblemCode},
    state::Api,
};

/// Dead letters of a page where the client does not say.
const DEFAULT_PAGE: usize = 50;
/// Most dead letters of a page: kept bodies have up to 16 KiB each.
const MAX_PAGE: usize = 200;

/// The query of `GET /v1/dead-letters`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Of this model.
    model: Option<String>,
    /// `WORKER_CRASHED`, `ATTEMPTS_EXHAUSTED` or `UNREADABLE`.
    reason: Option<String>,
    /// Also those that were decided about.
    #[serde(default)]
    decided: bool,
    /// Those after this id.
    after: Option<String>,
    /// At most so many: 50 if absent, 200 at most.
    limit: Option<usize>,
}

/// A page of dead letters, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterPage {
    dead_letters: Vec<DeadLetterView>,
    /// There may be more: ask for those `?after=` this.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<String>,
}

/// What is kept of a task whose attempts ran out, or of a message that nobody can read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterView {
    /// `dead_…`.
    id: String,
    #[serde(flatten)]
    subject: SubjectView,
    /// `WORKER_CRASHED`, `ATTEMPTS_EXHAUSTED` or `UNREADABLE`.
    reason: String,
    /// The last error.
    message: String,
    /// How often it was begun.
    attempts: u32,
    /// The last faults of its attempts, the oldest first: `at`, `code` and `message` of each.
    #[schema(value_type = Vec<Object>)]
    history: Vec<Fault>,
    /// When it was put away.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// `open`, `replayed` or `discarded`.
    state: &'static str,
    /// The round in which its task runs again.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_round: Option<u32>,
    /// When that was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
}

/// What died.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "subject", rename_all = "snake_case")]
#[schema(as = DeadLetterSubject)]
enum SubjectView {
    /// A task, which has a failed outcome in `round`.
    Task {
        /// The request.
        request: String,
        /// The task.
        task: String,
        /// The round in which it failed.
        round: u32,
        /// The model.
        model: String,
        /// Where the image is.
        image: String,
    },
    /// A message that nobody can read.
    Message {
        /// The queue it came from.
        queue: String,
        /// Its body, cut to 16 KiB.
        body: String,
    },
}

/// Lists dead letters, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "dead letters",
    params(ListParams),
    responses(
        (status = 200, description = "A page", body = DeadLetterPage),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_dead_letters(
    State(api): State<Api>,
    Params(params): Params<ListParams>,
) -> Result<Json<DeadLetterPage>, Problem> {
    let invalid = |message: String| Problem::new(ProblemCode::InvalidQuery, message);
    let limit = params.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let filter = DeadLetterFilter {
        model: params.model.as_deref().map(parse_model).transpose().map_err(invalid)?,
        reason: params.reason.as_deref().map(parse_reason).transpose().map_err(invalid)?,
        decided: params.decided,
        after: params.after,
        limit,
    };
    let letters = api.platform.dead_letters.list(&filter).await?;
    let next_after =
        if letters.len() == limit { letters.last().map(|last| last.id.clone()) } else { None };
    let dead_letters = letters.into_iter().map(DeadLetterView::from).collect();
    Ok(Json(DeadLetterPage { dead_letters, next_after }))
}

/// Shows a dead letter.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/{id}",
    tag = "dead letters",
    params(("id" = String, Path, description = "`dead_…`")),
    responses(
        (status = 200, description = "The dead letter", body = DeadLetterView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show_dead_letter(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Json<DeadLetterView>, Problem> {
    Ok(Json(find(&api, &id).await?.into()))
}

/// Gives a dead letter up: it is kept, and not open any more.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/discard",
    tag = "dead letters",
    params(("id" = String, Path, description = "`dead_…`")),
    responses(
        (status = 200, description = "It is given up", body = DeadLetterView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn discard_dead_letter(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Json<DeadLetterView>, Problem> {
    find(&api, &id).await?;
    let discarded = DeadLetterState::Discarded { at: api.platform.clock.now() };
    if !api.platform.dead_letters.decide(&id, discarded).await? {
        return Err(decided(&id));
    }
    info!(dead_letter.id = id, "dead letter discarded");
    Ok(Json(find(&api, &id).await?.into()))
}

/// The dead letter, or the problem that there is none.
pub(super) async fn find(api: &Api, id: &str) -> Result<DeadLetter, Problem> {
    let letter = api.platform.dead_letters.get(id).await?;
    letter.ok_or_else(|| {
        let id: String = id.chars().take(80).collect();
        Problem::new(ProblemCode::DeadLetterNotFound, format!("`{id}` is not known"))
    })
}

pub(super) fn decided(id: &str) -> Problem {
    let detail = format!("`{id}` was replayed or discarded before");
    Problem::new(ProblemCode::DeadLetterDecided, detail)
}

pub(super) fn parse_model(text: &str) -> Result<ModelName, String> {
    text.parse().map_err(|error: flota_core::NameError| format!("`model`: {error}"))
}

pub(super) fn parse_reason(text: &str) -> Result<Reason, String> {
    text.parse().map_err(|_| {
        "`reason`: one of WORKER_CRASHED, ATTEMPTS_EXHAUSTED and UNREADABLE is wanted".to_owned()
    })
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let subject = match letter.subject {
            Subject::Task { task, round, model, image } => SubjectView::Task {
                request: task.request.to_string(),
                task: task.to_string(),
                round,
                model: model.to_string(),
                image,
            },
            Subject::Message { queue, body } => SubjectView::Message { queue, body },
        };
        let (state, replay_round, decided_at) = match letter.state {
            DeadLetterState::Open => ("open", None, None),
            DeadLetterState::Replayed { round, at } => ("replayed", Some(round), Some(at)),
            DeadLetterState::Discarded { at } => ("discarded", None, Some(at)),
        };
        Self {
            id: letter.id,
            subject,
            reason: letter.reason.to_string(),
            message: letter.message,
            attempts: letter.attempts,
            history: letter.history,
            created_at: letter.created_at,
            state,
            replay_round,
            decided_at,
        }
    }
}
