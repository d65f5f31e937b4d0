use axum::{Json, extract::State};
use flota_api::{DeadLetterView, DiscardAnswer, DiscardBody, FieldError, ReplayOne, Resolution};
use flota_core::{DeadLetterSelection, DeadLetterState, MAX_SEARCH_CHARS, ports::DeadLetterFilter};
use tracing::info;

use super::{
    acting::ActedBy,
    dead_letters::find,
    extract::Id,
    problem::{Problem, ProblemCode},
    state::Api,
};
use crate::replay::ReplayResult;

/// Most dead letters that one call discards. It keeps the call short; the caller can repeat it.
const MAX_DISCARD: usize = 1_000;

/// Replays a dead letter.
///
/// Its task runs again in a new round of the request, or its message is sent again.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/replay",
    tag = "dead letters",
    params(("id" = String, Path, description = "`dead_…`")),
    request_body = ReplayOne,
    responses(
        (status = 200, description = "Its task runs again, or would", body = DeadLetterView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn replay_dead_letter(
    State(api): State<Api>,
    Id(id): Id,
    call: ActedBy<ReplayOne>,
) -> Result<Json<DeadLetterView>, Problem> {
    let ActedBy { by, body: ReplayOne { dry_run, .. } } = call;
    let letter = find(&api, &id).await?;
    if !letter.is_open() && !letter.awaits_end() {
        return Err(already_resolved(&id));
    }
    if dry_run {
        return match api.runner.refusal(&letter).await?.and_then(refusal) {
            Some((code, detail)) => Err(Problem::new(code, detail)),
            None => Ok(Json(letter.into())),
        };
    }
    for (_, rerun) in api.runner.rerun(&[letter], &by).await? {
        if let Some((code, detail)) = refusal(rerun) {
            return Err(Problem::new(code, detail));
        }
    }
    info!(dead_letter.id = id, by, "dead letter replayed");
    Ok(Json(find(&api, &id).await?.into()))
}

/// Discards a dead letter. It stays stored, but is no longer open.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/discard",
    tag = "dead letters",
    params(("id" = String, Path, description = "`dead_…`")),
    request_body = Resolution,
    responses(
        (status = 200, description = "It is given up", body = DeadLetterView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn discard_dead_letter(
    State(api): State<Api>,
    Id(id): Id,
    call: ActedBy<Resolution>,
) -> Result<Json<DeadLetterView>, Problem> {
    let by = call.by;
    find(&api, &id).await?;
    let discarded = DeadLetterState::Discarded { at: api.platform.clock.now(), by: by.clone() };
    if !api.platform.dead_letters.decide(&id, &discarded).await? {
        return Err(already_resolved(&id));
    }
    info!(dead_letter.id = id, by, "dead letter discarded");
    Ok(Json(find(&api, &id).await?.into()))
}

/// Discards many dead letters.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/discard",
    tag = "dead letters",
    request_body = DiscardBody,
    responses(
        (status = 200, description = "They are given up", body = DiscardAnswer),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn discard_dead_letters(
    State(api): State<Api>,
    call: ActedBy<DiscardBody>,
) -> Result<Json<DiscardAnswer>, Problem> {
    let ActedBy { by, body } = call;
    let DiscardBody { model, reason, code, since, until, text, after, limit, .. } = body;
    let selection = checked(DeadLetterSelection { model, reason, code, since, until, text })?;
    if selection == DeadLetterSelection::default() {
        let detail = "name one condition at least: nothing is given up by mistake";
        return Err(Problem::new(ProblemCode::InvalidValue, detail));
    }
    let limit = limit.map_or(MAX_DISCARD, |limit| limit as usize).clamp(1, MAX_DISCARD);
    let filter = DeadLetterFilter { selection, include_resolved: false, after, limit };
    let page = api.platform.dead_letters.list(&filter).await?;
    let state = DeadLetterState::Discarded { at: api.platform.clock.now(), by: by.clone() };
    let mut discarded_count = 0;
    for letter in &page.letters {
        discarded_count += u64::from(api.platform.dead_letters.decide(&letter.id, &state).await?);
    }
    info!(by, discarded_count, selection = ?filter.selection, "dead letters discarded");
    Ok(Json(DiscardAnswer { discarded_count, next_after: page.next_after }))
}

/// Checks the length of the text to search for.
pub(super) fn checked(selection: DeadLetterSelection) -> Result<DeadLetterSelection, Problem> {
    if selection.text.as_ref().is_some_and(|text| text.chars().count() > MAX_SEARCH_CHARS) {
        let message = format!("{MAX_SEARCH_CHARS} characters at most are wanted");
        let wrong = vec![FieldError::new("text", message)];
        return Err(Problem::fields(ProblemCode::InvalidValue, wrong));
    }
    Ok(selection)
}

/// The problem for a dead letter that cannot be replayed; `None` if it can.
pub(super) fn refusal(rerun: ReplayResult) -> Option<(ProblemCode, &'static str)> {
    match rerun {
        ReplayResult::InRound(_) => None,
        ReplayResult::RequestNotFinished => Some((
            ProblemCode::RequestNotFinished,
            "its request runs still: replay it when it is finished",
        )),
        ReplayResult::NotReadable => Some((
            ProblemCode::NotReplayable,
            "nobody can read the message; the sweeper sends a request's tasks again",
        )),
        ReplayResult::NotSendable => Some((
            ProblemCode::NotReplayable,
            "its queue does not take it; the cause is in the server's log",
        )),
        ReplayResult::RequestNotFound => {
            Some((ProblemCode::RequestNotFound, "its request is not known any more"))
        }
        ReplayResult::ModelNotFound => {
            Some((ProblemCode::UnknownModel, "its model, or its queue, is not known any more"))
        }
    }
}

fn already_resolved(id: &str) -> Problem {
    let detail = format!("`{id}` was replayed or discarded before");
    Problem::new(ProblemCode::DeadLetterResolved, detail)
}
