use flota_core::{Callback, CallbackAttempt, Metadata, Outcome, Request, RequestId, Round};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    problem::{Problem, ProblemCode},
    schemas,
    state::Api,
};
use crate::{
    request_state::RequestState,
    views::{self, CountsView, OutcomeView},
};

/// Outcomes of a page where the client does not say.
pub(crate) const DEFAULT_PAGE: usize = 100;
/// Most outcomes of a page: with the largest predictions it has a few megabytes.
pub(crate) const MAX_PAGE: usize = 200;

/// Which outcomes are wanted.
pub(crate) struct Page {
    /// Of tasks after this one.
    pub(crate) after: Option<u32>,
    /// At most so many.
    pub(crate) limit: usize,
    /// As they were recorded in this round; `None`: the latest of each task.
    pub(crate) round: Option<u32>,
}

/// Where a request stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(crate) struct RequestView {
    /// `req_…`.
    id: String,
    /// `queued`, `processing`, `succeeded` (all), `partially_failed`, `failed` (none succeeded),
    /// `canceled`, `expired`.
    status: String,
    /// Whether it will stay so until a replay.
    terminal: bool,
    /// How many tasks stand where.
    counts: CountsView,
    /// The models, in the order of the request.
    models: Vec<String>,
    /// How many images it has.
    image_count: usize,
    /// Only `normal` so far.
    priority: String,
    /// What the client wanted back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// How long it took.
    timings: RequestTimings,
    /// Round 1, and one more for each replay.
    rounds: Vec<RoundView>,
    /// The callback of each finished round, with its attempts.
    callbacks: Vec<CallbackView>,
    /// How its tasks ended, by task; those that are open are left out.
    outcomes: Vec<OutcomeView>,
    /// There are more outcomes: ask for those `?after=` this.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<u32>,
}

/// How long a request took.
#[derive(Debug, Serialize, ToSchema)]
struct RequestTimings {
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its last round finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// From the opening of the last round until it finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

/// How far a round is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Round)]
struct RoundView {
    /// Counted from 1.
    round: u32,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// When its last task ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// How many of the tasks that it runs stand where.
    counts: CountsView,
}

/// A callback with its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Callback)]
pub(crate) struct CallbackView {
    /// Its `webhook-id`.
    id: String,
    /// The round that it reports.
    round: u32,
    /// The receiver's address.
    url: String,
    /// What it tells.
    event: String,
    /// `pending`, `delivered`, `failed` or `disabled`.
    state: String,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// Every attempt so far, the oldest first.
    #[schema(value_type = Vec<schemas::CallbackAttempt>)]
    attempts: Vec<CallbackAttempt>,
}

impl Page {
    /// The first page of the latest outcomes.
    pub(crate) fn first() -> Self {
        Self { after: None, limit: DEFAULT_PAGE, round: None }
    }
}

impl RequestView {
    /// A request that was accepted just now, of which nothing is recorded.
    pub(crate) fn accepted(request: Request) -> Self {
        Self::new(&RequestState::accepted(request), Vec::new(), Vec::new(), None)
    }

    /// Reads the request and a page of its outcomes.
    pub(crate) async fn load(api: &Api, id: RequestId, page: Page) -> Result<Self, Problem> {
        let platform = &api.platform;
        let Some(state) = RequestState::load(platform.requests.as_ref(), id).await? else {
            return Err(not_found(id));
        };
        let round_count = state.last().key.round;
        if page.round.is_some_and(|round| !(1..=round_count).contains(&round)) {
            return Err(round_not_found(round_count));
        }
        let wanted = |n: u32| match page.round {
            Some(round) => state.in_round(round, n),
            None => state.latest(n),
        };
        let first = page.after.map_or(0, |n| n.saturating_add(1));
        let mut ended: Vec<(u32, u32, &Outcome)> = (first..state.request.task_count())
            .filter_map(|n| wanted(n).map(|(round, outcome)| (n, round, outcome)))
            .take(page.limit + 1)
            .collect();
        let has_more = ended.len() > page.limit;
        ended.truncate(page.limit);
        let next_after = ended.last().map(|(n, ..)| *n).filter(|_| has_more);
        let outcomes = views::outcomes(platform.predictions.as_ref(), &state, &ended).await?;
        let callbacks = platform.callbacks.of_request(id).await?;
        Ok(Self::new(&state, callbacks, outcomes, next_after))
    }

    fn new(
        state: &RequestState,
        callbacks: Vec<Callback>,
        outcomes: Vec<OutcomeView>,
        next_after: Option<u32>,
    ) -> Self {
        let counts = state.counts();
        let status = state.status(&counts);
        Self {
            id: state.request.id.to_string(),
            status: status.to_string(),
            terminal: status.is_terminal(),
            counts: counts.into(),
            models: state.request.routes.iter().map(|route| route.model.to_string()).collect(),
            image_count: state.request.images.len(),
            priority: state.request.priority.to_string(),
            metadata: state.request.metadata.clone(),
            timings: timings(state),
            rounds: rounds(state),
            callbacks: callbacks.into_iter().map(CallbackView::from).collect(),
            outcomes,
            next_after,
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl From<Callback> for CallbackView {
    fn from(callback: Callback) -> Self {
        Self {
            id: callback.id.to_string(),
            round: callback.id.round,
            url: callback.url,
            event: callback.event.to_string(),
            state: callback.state.to_string(),
            due_at: callback.due_at,
            attempts: callback.attempts,
        }
    }
}

pub(crate) fn not_found(id: RequestId) -> Problem {
    Problem::new(ProblemCode::RequestNotFound, format!("`{id}` is not known"))
}

fn round_not_found(round_count: u32) -> Problem {
    let detail = match round_count {
        1 => "the request has round 1 alone".to_owned(),
        _ => format!("the request has the rounds 1 to {round_count}"),
    };
    Problem::new(ProblemCode::RoundNotFound, detail)
}

fn timings(state: &RequestState) -> RequestTimings {
    let Round { opened_at, finished_at, .. } = state.last();
    let took = finished_at.map(|finished_at| finished_at.duration_since(*opened_at).as_millis());
    RequestTimings {
        created_at: state.request.created_at,
        finished_at: *finished_at,
        duration_ms: took.map(|ms| u64::try_from(ms).unwrap_or(0)),
    }
}

fn rounds(state: &RequestState) -> Vec<RoundView> {
    let view = |(index, round): (usize, &Round)| RoundView {
        round: round.key.round,
        opened_at: round.opened_at,
        finished_at: round.finished_at,
        counts: state.counts_of(index).into(),
    };
    state.rounds.iter().enumerate().map(view).collect()
}
