use axum::{Json, extract::State};
use flota_api::{DeadLetterGroup, DeadLetterGroups, DeadLetterPage, DeadLetterView};
use flota_core::{
    Code, DeadLetter, DeadLetterSelection, MAX_SEARCH_CHARS, ModelName, Reason,
    ports::DeadLetterFilter,
};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    extract::{Id, Params},
    problem::{Problem, ProblemCode},
    state::Api,
};
use crate::groups::{Group, Groups};

/// Default size of a page.
const DEFAULT_PAGE: usize = 50;
/// Largest page. A stored body has up to 60 KiB.
const MAX_PAGE: usize = 200;

/// The query of `GET /v1/dead-letters` and `GET /v1/dead-letters/groups`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only dead letters of this model.
    #[param(value_type = Option<String>)]
    model: Option<ModelName>,
    /// `WORKER_CRASHED`, `ATTEMPTS_EXHAUSTED`, `FAILED`, `CRASHED` or `UNREADABLE`.
    #[param(value_type = Option<String>)]
    reason: Option<Reason>,
    /// Only dead letters with this code: of the failed outcome, or of the last fault.
    #[param(value_type = Option<String>)]
    code: Option<Code>,
    /// Only those that were dead-lettered at this time (RFC 3339) or later.
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Only those that were dead-lettered before this time.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// Only those with this text in the id, the last error, the image's URL, the queue or the body.
    text: Option<String>,
    /// Include those that were replayed or discarded.
    #[serde(default)]
    include_resolved: bool,
    /// Only those after this id.
    after: Option<String>,
    /// Most dead letters to return: 50 by default, at most 200.
    limit: Option<usize>,
}

/// Lists dead letters, oldest first.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "dead letters",
    params(ListParams),
    responses(
        (status = 200, description = "A page", body = DeadLetterPage),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_dead_letters(
    State(api): State<Api>,
    Params(params): Params<ListParams>,
) -> Result<Json<DeadLetterPage>, Problem> {
    let filter = DeadLetterFilter {
        include_resolved: params.include_resolved,
        limit: params.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE),
        after: params.after.clone(),
        selection: params.selection()?,
    };
    let page = api.platform.dead_letters.list(&filter).await?;
    let dead_letters = page.letters.into_iter().map(DeadLetterView::from).collect();
    Ok(Json(DeadLetterPage { dead_letters, next_after: page.next_after }))
}

/// Counts dead letters by model and reason.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/groups",
    tag = "dead letters",
    params(ListParams),
    responses(
        (status = 200, description = "The groups", body = DeadLetterGroups),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn group_dead_letters(
    State(api): State<Api>,
    Params(params): Params<ListParams>,
) -> Result<Json<DeadLetterGroups>, Problem> {
    let include_resolved = params.include_resolved;
    if params.after.is_some() || params.limit.is_some() {
        let detail = "groups are not paged: neither `after` nor `limit` is taken here";
        return Err(Problem::new(ProblemCode::InvalidQuery, detail));
    }
    let selection = params.selection()?;
    let dead_letters = api.platform.dead_letters.as_ref();
    Ok(Json(groups_view(Groups::count(dead_letters, &selection, include_resolved).await?)))
}

/// Shows a dead letter.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/{id}",
    tag = "dead letters",
    params(("id" = String, Path, description = "`dead_…`")),
    responses(
        (status = 200, description = "The dead letter", body = DeadLetterView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show_dead_letter(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Json<DeadLetterView>, Problem> {
    Ok(Json(find(&api, &id).await?.into()))
}

/// Reads a dead letter. A problem if it does not exist.
pub(super) async fn find(api: &Api, id: &str) -> Result<DeadLetter, Problem> {
    let letter = api.platform.dead_letters.get(id).await?;
    letter.ok_or_else(|| {
        let id: String = id.chars().take(80).collect();
        Problem::new(ProblemCode::DeadLetterNotFound, format!("`{id}` is not known"))
    })
}

impl ListParams {
    fn selection(self) -> Result<DeadLetterSelection, Problem> {
        let Self { model, reason, code, since, until, text, .. } = self;
        if text.as_ref().is_some_and(|text| text.chars().count() > MAX_SEARCH_CHARS) {
            let detail = format!("`text` may have {MAX_SEARCH_CHARS} characters");
            return Err(Problem::new(ProblemCode::InvalidQuery, detail));
        }
        Ok(DeadLetterSelection { model, reason, code, since, until, text })
    }
}

/// Groups in the API's types.
pub(super) fn groups_view(groups: Groups) -> DeadLetterGroups {
    let view = |group: Group| DeadLetterGroup {
        model: group.model,
        reason: group.reason.into(),
        count: group.count,
        oldest_at: group.oldest_at,
        newest_at: group.newest_at,
        message: group.message,
    };
    let count = groups.count_all();
    let complete = groups.is_complete;
    DeadLetterGroups { groups: groups.groups.into_iter().map(view).collect(), count, complete }
}
