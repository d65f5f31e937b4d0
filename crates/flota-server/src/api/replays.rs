use axum::{Json, body::Body, extract::State, http::HeaderMap};
use flota_core::{DeadLetterState, limits::MAX_API_BODY_BYTES, ports::DeadLetterFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    dead_letters::{DeadLetterView, decided, find, parse_model, parse_reason},
    extract::{Id, read_body},
    json::parse_json,
    problem::{self, FieldError, Problem, ProblemCode},
    state::Api,
};
use crate::replay::{Replay, Replayed};

/// Most dead letters that one call replays: the call stays short, and can be repeated.
const MAX_REPLAY: usize = 1_000;

/// Which dead letters are to be replayed; all open ones where nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplaySelection {
    /// Of this model.
    model: Option<String>,
    /// `WORKER_CRASHED` or `ATTEMPTS_EXHAUSTED`.
    reason: Option<String>,
    /// Those after this id.
    after: Option<String>,
    /// At most so many: 1000 if absent, and at most.
    limit: Option<usize>,
    /// Only say which ones it would be.
    dry_run: bool,
}

/// What became of the dead letters that were to be replayed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    /// Those whose tasks run again, or would.
    replayed: Vec<ReplayedLetter>,
    /// Those left as they are, and why.
    skipped: Vec<SkippedLetter>,
    /// There may be more: ask for those `after` this.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<String>,
}

/// A dead letter whose task runs again.
#[derive(Debug, Serialize, ToSchema)]
struct ReplayedLetter {
    /// `dead_…`.
    id: String,
    /// The round in which it runs; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
}

/// A dead letter that was left as it is.
#[derive(Debug, Serialize, ToSchema)]
struct SkippedLetter {
    /// `dead_…`.
    id: String,
    /// Why: the code of the problem that a call for this letter alone would get.
    code: &'static str,
}

/// Runs the task of a dead letter again, in a new round of its request.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/replay",
    tag = "dead letters",
    params(("id" = String, Path, description = "`dead_…`")),
    responses(
        (status = 200, description = "Its task runs again", body = DeadLetterView),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn replay_dead_letter(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Json<DeadLetterView>, Problem> {
    let letter = find(&api, &id).await?;
    if letter.state != DeadLetterState::Open {
        return Err(decided(&id));
    }
    for (_, replayed) in replaying(&api).replay(&[letter]).await? {
        round_of(replayed).map_err(|(code, detail)| Problem::new(code, detail))?;
    }
    Ok(Json(find(&api, &id).await?.into()))
}

/// Runs the tasks of many dead letters again, those of one request in one new round of it.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/replay",
    tag = "dead letters",
    request_body = ReplaySelection,
    responses(
        (status = 200, description = "What became of each", body = ReplayAnswer),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn replay_dead_letters(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReplayAnswer>, Problem> {
    let bytes = read_body(&headers, body, MAX_API_BODY_BYTES as u64).await?;
    let selection: ReplaySelection = parse_json(if bytes.is_empty() { b"{}" } else { &bytes })?;
    let invalid = |field: &'static str| {
        move |message| {
            Problem::fields(ProblemCode::InvalidValue, vec![FieldError::new(field, message)])
        }
    };
    let model = selection.model.as_deref().map(parse_model).transpose();
    let reason = selection.reason.as_deref().map(parse_reason).transpose();
    let filter = DeadLetterFilter {
        model: model.map_err(invalid("model"))?,
        reason: reason.map_err(invalid("reason"))?,
        decided: false,
        after: selection.after,
        limit: selection.limit.unwrap_or(MAX_REPLAY).clamp(1, MAX_REPLAY),
    };
    let letters = api.platform.dead_letters.list(&filter).await?;
    let is_full = letters.len() == filter.limit;
    let next_after = letters.last().filter(|_| is_full).map(|last| last.id.clone());
    let mut answer = ReplayAnswer { replayed: Vec::new(), skipped: Vec::new(), next_after };
    if selection.dry_run {
        for letter in letters {
            match replaying(&api).refusal(&letter).await?.map(round_of) {
                Some(Err((code, _))) => {
                    answer.skipped.push(SkippedLetter { id: letter.id, code: code.into() });
                }
                _ => answer.replayed.push(ReplayedLetter { id: letter.id, round: None }),
            }
        }
        return Ok(Json(answer));
    }
    for (id, replayed) in replaying(&api).replay(&letters).await? {
        match round_of(replayed) {
            Ok(round) => answer.replayed.push(ReplayedLetter { id, round: Some(round) }),
            Err((code, _)) => answer.skipped.push(SkippedLetter { id, code: code.into() }),
        }
    }
    Ok(Json(answer))
}

fn replaying(api: &Api) -> Replay<'_> {
    Replay {
        requests: api.platform.requests.as_ref(),
        dead_letters: api.platform.dead_letters.as_ref(),
        dispatcher: &api.dispatcher,
        clock: api.platform.clock.as_ref(),
        settings: &api.settings.sweeper,
    }
}

/// The problem of a call for this letter alone; the round if there is none.
fn round_of(replayed: Replayed) -> Result<u32, (ProblemCode, &'static str)> {
    Err(match replayed {
        Replayed::InRound(round) => return Ok(round),
        Replayed::RequestNotFinished => (
            ProblemCode::RequestNotFinished,
            "its request runs still: replay it when it is finished",
        ),
        Replayed::NotATask => (
            ProblemCode::NotReplayable,
            "nobody can read the message; the sweeper sends its tasks again",
        ),
        Replayed::RequestNotFound => {
            (ProblemCode::RequestNotFound, "its request is not known any more")
        }
    })
}
