use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    DeadLetter, DeadLetterSelection, DeadLetterState, ModelName, PortResult, Replay, ReplayId,
};

/// Dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a dead letter; one that is there stays as it is.
    async fn put(&self, letter: &DeadLetter) -> PortResult<()>;

    /// The dead letter, if there is one.
    async fn get(&self, id: &str) -> PortResult<Option<DeadLetter>>;

    /// Those that match, by the time when they were dead-lettered and then by id, the oldest first.
    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<DeadLetterPage>;

    /// How many are open. Where counting is billed, it may stop at some thousands.
    async fn open_count(&self) -> PortResult<u64>;

    /// Decides about an open one. False where it is not open, or not there.
    async fn decide(&self, id: &str, state: &DeadLetterState) -> PortResult<bool>;

    /// Notes how the task of an upload event ended in `round`. Nothing happens unless its dead
    /// letter is `Replayed` in that round and nothing is noted yet.
    async fn replay_ended(&self, id: &str, round: u32, succeeded: bool) -> PortResult<()>;
}

/// Which dead letters are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// What they are like.
    pub selection: DeadLetterSelection,
    /// Also those that were decided about.
    pub include_resolved: bool,
    /// Those after this id, in the order of the list; none where it is not known.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterPage {
    /// Up to as many as were asked for; fewer, even none, where many had to be looked at.
    pub letters: Vec<DeadLetter>,
    /// After which the list goes on: the last that was looked at. `None` at the end of the list.
    pub next_after: Option<String>,
}

/// Replays of dead letters: one runs at a time for each model. A replay is the
/// record of who replayed what, when, and with which result.
#[async_trait]
pub trait Replays: Send + Sync {
    /// Keeps a new replay, which is running, unless another of its model runs.
    async fn start(&self, replay: &Replay) -> PortResult<ReplayStart>;

    /// The replay, if there is one.
    async fn get(&self, id: ReplayId) -> PortResult<Option<Replay>>;

    /// Up to `limit` of them, or of those of `model`, the newest first (by their ids).
    async fn list(&self, model: Option<&ModelName>, limit: usize) -> PortResult<Vec<Replay>>;

    /// Takes up to `limit` running ones whose claim has ended at `now` (`claimed_until <= now`),
    /// and claims each until `until`. A claim is a write: it counts the revision up.
    async fn claim(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Replay>>;

    /// Writes `replay` with its revision counted up by one, if the one that is kept has the
    /// revision of `replay` and runs; one that runs no more makes room for the next of its model.
    /// False where somebody else wrote first, or there is none.
    async fn update(&self, replay: &Replay) -> PortResult<bool>;
}

/// What became of a replay that was to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStart {
    /// It was kept.
    Started,
    /// This one of its model runs.
    Running(ReplayId),
}
