use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use flota_api::{DeadLetterView, FieldError, ReplayBody, ReplayDryRun, ReplayView};
use flota_core::{
    DeadLetterSelection, ModelName, ModelVersion, Replay, ReplayId, ReplayPlan, ReplayProgress,
    ReplayState,
    ports::{DeadLetterFilter, ReplayStart},
};
use jiff::Timestamp;
use tracing::info;

use super::{
    acting::ActedBy,
    dead_letters::groups_view,
    problem::{Problem, ProblemCode},
    resolutions::{checked, refusal},
    state::Api,
};
use crate::groups::Groups;

/// Dead letters that are replayed and evaluated before the others.
const CANARY_COUNT: u32 = 10;
/// If a higher percentage fails again, the cause has not been removed, and the replay stops.
const MAX_FAILED_PERCENT: u32 = 20;
/// Dead letters in the answer of a dry run.
const SAMPLE: usize = 10;
/// Highest accepted rate. No replay is faster.
const MAX_RATE_PER_SECOND: u32 = 10_000;

/// Starts a replay of dead letters of one model, or reports what it would do.
///
/// One replay runs at a time for each model. Any server may run it.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/replay",
    tag = "dead letters",
    request_body = ReplayBody,
    responses(
        (status = 202, description = "It was started; `Location` says where it can be seen", body = ReplayView),
        (status = 200, description = "What it would do", body = ReplayDryRun),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn replay_dead_letters(
    State(api): State<Api>,
    call: ActedBy<ReplayBody>,
) -> Result<Response, Problem> {
    let ActedBy { by, body } = call;
    let is_dry = body.dry_run;
    let now = api.platform.clock.now();
    let (model, plan) = plan(body, now)?;
    if let Some(wanted) = &plan.to_version {
        check_version(&api, &model, wanted).await?;
    }
    if is_dry {
        return Ok(Json(dry_run(&api, plan.selection).await?).into_response());
    }
    let replay = Replay {
        id: ReplayId(api.platform.clock.uuid()),
        model,
        plan,
        by,
        created_at: now,
        state: ReplayState::Running,
        progress: ReplayProgress::default(),
        claimed_until: now,
        revision: 0,
    };
    match api.platform.replays.start(&replay).await? {
        ReplayStart::Started => {}
        ReplayStart::Running(running) => {
            let detail = format!("`{running}` runs: wait for its end, or stop it");
            return Err(Problem::new(ProblemCode::ReplayRunning, detail));
        }
    }
    info!(replay.id = %replay.id, model = %replay.model, by = replay.by, plan = ?replay.plan,
        "replay started");
    api.notifications.replay_started();
    let location = [(header::LOCATION, format!("/v1/replays/{}", replay.id))];
    Ok((StatusCode::ACCEPTED, location, Json(ReplayView::from(replay))).into_response())
}

/// The model and the plan that `body` asks for.
fn plan(body: ReplayBody, now: Timestamp) -> Result<(ModelName, ReplayPlan), Problem> {
    let wrong = |field, message: String| {
        Problem::fields(ProblemCode::InvalidValue, vec![FieldError::new(field, message)])
    };
    let ReplayBody { model, reason, code, since, until, text, .. } = body;
    let Some(model) = model else {
        return Err(wrong("model", "it is missing: a replay is of one model".to_owned()));
    };
    if body.limit == Some(0) {
        return Err(wrong("limit", "1 or more is wanted".to_owned()));
    }
    let rates = 1..=MAX_RATE_PER_SECOND;
    if body.rate_per_second.is_some_and(|rate| !rates.contains(&rate)) {
        return Err(wrong("rate_per_second", format!("1 to {MAX_RATE_PER_SECOND} is wanted")));
    }
    let selection = DeadLetterSelection {
        model: Some(model.clone()),
        reason,
        code,
        since,
        // The replay must not select dead letters that it creates itself.
        until: Some(until.map_or(now, |until| until.min(now))),
        text,
    };
    let plan = ReplayPlan {
        selection: checked(selection)?,
        limit: body.limit,
        rate_per_second: body.rate_per_second,
        to_version: body.to_version.map(ModelVersion),
        canary_count: CANARY_COUNT,
        max_failed_percent: MAX_FAILED_PERCENT,
    };
    Ok((model, plan))
}

async fn check_version(api: &Api, model: &ModelName, wanted: &ModelVersion) -> Result<(), Problem> {
    let known = api.directory.known_now().await?;
    let Some(current) = known.version(model) else {
        return Err(Problem::new(ProblemCode::UnknownModel, format!("`{model}` is not known")));
    };
    if current == wanted {
        return Ok(());
    }
    let detail = format!("`{current}` is the current version of `{model}`");
    Err(Problem::new(ProblemCode::VersionNotCurrent, detail))
}

async fn dry_run(api: &Api, selection: DeadLetterSelection) -> Result<ReplayDryRun, Problem> {
    let dead_letters = api.platform.dead_letters.as_ref();
    let groups = Groups::count(dead_letters, &selection, false).await?;
    let mut filter =
        DeadLetterFilter { selection, include_resolved: false, after: None, limit: SAMPLE };
    let mut sample = Vec::new();
    while sample.len() < SAMPLE {
        let page = dead_letters.list(&filter).await?;
        for letter in page.letters.into_iter().take(SAMPLE - sample.len()) {
            let refused = api.runner.refusal(&letter).await?.and_then(refusal);
            let refusal = refused.map(|(code, _)| code);
            sample.push(DeadLetterView::new(letter, refusal));
        }
        filter.after = page.next_after;
        if filter.after.is_none() {
            break;
        }
    }
    Ok(ReplayDryRun { groups: groups_view(groups), sample })
}
