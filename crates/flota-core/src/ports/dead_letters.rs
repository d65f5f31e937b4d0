use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    DeadLetter, DeadLetterSelection, DeadLetterState, ModelName, PortResult, Replay, ReplayId,
};

/// The store of dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Stores a dead letter. If one with its id exists, nothing changes.
    async fn put(&self, letter: &DeadLetter) -> PortResult<()>;

    /// Reads a dead letter; `None` if it does not exist.
    async fn get(&self, id: &str) -> PortResult<Option<DeadLetter>>;

    /// Lists the dead letters that match, oldest first, those of equal time by id.
    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<DeadLetterPage>;

    /// Counts open dead letters. If counting is billed, it may stop at some thousands.
    async fn open_count(&self) -> PortResult<u64>;

    /// Sets the state of an open dead letter. False if it is not open or does not exist.
    async fn decide(&self, id: &str, state: &DeadLetterState) -> PortResult<bool>;

    /// Records how the task of an upload event ended in `round`. It has no effect unless the dead
    /// letter is `Replayed` in that round and has no recorded end.
    async fn replay_ended(&self, id: &str, round: u32, succeeded: bool) -> PortResult<()>;
}

/// A query for dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// The conditions.
    pub selection: DeadLetterSelection,
    /// Whether resolved dead letters are included.
    pub include_resolved: bool,
    /// The id after which the page begins, in the order of the list. If that id does not exist, the
    /// page is empty.
    pub after: Option<String>,
    /// Most dead letters of the page.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterPage {
    /// At most as many as requested. There may be fewer, or none, if many did not match.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins: the last id that was read. `None` at the end of the list.
    pub next_after: Option<String>,
}

/// The store of replays. One replay runs at a time for each model. A replay is also the record of
/// who replayed what, when, and with which result.
#[async_trait]
pub trait Replays: Send + Sync {
    /// Stores a new, running replay, unless another one of its model runs.
    async fn start(&self, replay: &Replay) -> PortResult<ReplayStart>;

    /// Reads a replay; `None` if it does not exist.
    async fn get(&self, id: ReplayId) -> PortResult<Option<Replay>>;

    /// Lists up to `limit` replays, of `model` if given, newest first.
    async fn list(&self, model: Option<&ModelName>, limit: usize) -> PortResult<Vec<Replay>>;

    /// Claims up to `limit` running replays whose claim has ended at `now`
    /// (`claimed_until <= now`), each until `until`. A claim increments the revision.
    async fn claim(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Replay>>;

    /// Writes `replay` with its revision incremented, if the stored one runs and has the revision
    /// of `replay`. If `replay` no longer runs, another one of its model may start. False if
    /// somebody else wrote first, or it does not exist.
    async fn update(&self, replay: &Replay) -> PortResult<bool>;
}

/// The result of starting a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStart {
    /// It was stored.
    Started,
    /// This replay of the same model is running.
    Running(ReplayId),
}
