use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    Alias, Callback, CallbackAttempt, CallbackId, CallbackState, ClientName, Counts, ModelName,
    ObjectIdentity, Pack, PackKey, PackRecord, PortResult, Prediction, PredictionKey, Request,
    RequestId, Resend, Round, RoundKey, Sha256, TaskId, TaskOutcome,
};

/// Requests, their rounds, and the outcomes of their packs. `Ok` of a write means durable.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Keeps a request and its first round in one write, unless its idempotency key is known.
    async fn accept(&self, accept: &Accept) -> PortResult<Accepted>;

    /// The request, if there is one.
    async fn request(&self, id: RequestId) -> PortResult<Option<Request>>;

    /// Its rounds, the first first.
    async fn rounds(&self, id: RequestId) -> PortResult<Vec<Round>>;

    /// What is recorded of a pack; empty where nothing is.
    async fn pack(&self, key: PackKey) -> PortResult<PackRecord>;

    /// What is recorded of a round's packs, by the pack's index.
    async fn packs(&self, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>>;

    /// The outcomes that are recorded in a round of the tasks of `packs`, by number. It reads those packs alone,
    /// and where a store can tell, those tasks alone.
    async fn outcomes(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Vec<TaskOutcome>>;

    /// How many tasks of a round stand where; `packs` are [all that it runs](Round::packs). Where a pack is one
    /// record, complete packs are not read: the round says how their tasks ended.
    async fn counts(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Counts>;

    /// Sets each outcome that is absent and reads the pack back.
    async fn record(&self, key: PackKey, outcomes: &[TaskOutcome]) -> PortResult<Recorded>;

    /// Adds a pack, whose tasks ended as `ended` says, to the round's complete ones and reads the round back.
    async fn complete_pack(&self, key: PackKey, ended: Counts) -> PortResult<Round>;

    /// Marks a round finished and makes its callback, each if absent, in one transaction. False
    /// where it was finished before.
    async fn finish(&self, finish: &Finish) -> PortResult<bool>;

    /// Opens the round `key`, which runs `tasks` again. False unless it follows the last round and
    /// that one is finished.
    async fn open_round(
        &self,
        key: RoundKey,
        tasks: &BTreeSet<u32>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> PortResult<bool>;

    /// Takes up to `limit` open rounds that are due at `now` and makes each due again at `next`, so
    /// that no other sweeper takes it before.
    async fn claim_overdue(
        &self,
        now: Timestamp,
        next: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Round>>;

    /// Makes an open round due at `due_at`; a finished one stays as it is.
    async fn set_due(&self, key: RoundKey, due_at: Timestamp) -> PortResult<()>;

    /// Notes that a copy of a pack's open tasks was sent, unless one with a higher number was.
    async fn set_resent(&self, key: PackKey, resend: Resend) -> PortResult<()>;

    /// Counts, durably, that a task is about to be begun in a round, and returns how often it was.
    async fn count_attempt(&self, task: TaskId, round: u32) -> PortResult<u32>;

    /// How often a task was begun in a round, as far as that was counted.
    async fn attempts(&self, task: TaskId, round: u32) -> PortResult<u32>;
}

/// A request to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Accept {
    /// The request.
    pub request: Request,
    /// When its first round is due, should its tasks not have been sent by then.
    pub due_at: Timestamp,
    /// The client's key, if it sent one.
    pub idempotency: Option<IdempotencyKey>,
}

/// What makes a repeated submission the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is.
    pub client: ClientName,
    /// The key.
    pub key: String,
    /// The SHA-256 of what was submitted under it.
    pub fingerprint: Sha256,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It was kept.
    New,
    /// The same was kept before under this id.
    Same(RequestId),
    /// Something else was submitted under its idempotency key.
    Conflict,
}

/// What a pack holds after a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The pack, read back.
    pub pack: PackRecord,
    /// The tasks whose outcome this write set; the others had one.
    pub set: Vec<u32>,
}

/// A round that is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// The round.
    pub key: RoundKey,
    /// When its last task ended.
    pub at: Timestamp,
    /// The callback to make, if the client wants one.
    pub callback: Option<Callback>,
}

/// Predictions. Workers read them and never write them.
#[async_trait]
pub trait Predictions: Send + Sync {
    /// Those of `keys` that are known, in any order; an adapter splits them as its store needs.
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>>;

    /// Keeps predictions; one that is there stays as it is, unless its version ends in `-dev`.
    async fn put(&self, predictions: &[Prediction]) -> PortResult<()>;

    /// Those of `keys` that are stored and will be for as long as the outcomes that are recorded next
    /// name them.
    async fn used(&self, keys: &[PredictionKey]) -> PortResult<Vec<PredictionKey>> {
        // Where predictions are never deleted, those that were seen once are there.
        Ok(keys.to_vec())
    }

    /// All that is known of an image, or what `model` says of it, the newest first.
    async fn of_image(
        &self,
        sha256: Sha256,
        model: Option<&ModelName>,
    ) -> PortResult<Vec<Prediction>>;
}

/// What objects of S3 contain, so that a known one need not be fetched. Workers read aliases and
/// never write them.
#[async_trait]
pub trait Aliases: Send + Sync {
    /// Those of `objects` whose content is known, in any order; an adapter splits them as its store needs.
    async fn get(&self, objects: &[ObjectIdentity]) -> PortResult<Vec<Alias>>;

    /// Keeps aliases. What an identity names never changes: a second write writes the
    /// same.
    async fn put(&self, aliases: &[Alias]) -> PortResult<()>;
}

/// Callbacks; [`Requests::finish`] makes them.
#[async_trait]
pub trait Callbacks: Send + Sync {
    /// Takes up to `limit` callbacks that are due at `now` and makes each due again at `until`,
    /// which is the claim: should the notifier die, another takes it then.
    async fn claim_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Callback>>;

    /// Logs an attempt. The state and the next time are set only if the callback is still due at
    /// `claim`: a redelivery by hand replaces the pending try.
    async fn attempted(
        &self,
        id: CallbackId,
        claim: Timestamp,
        attempt: &CallbackAttempt,
        next: (CallbackState, Option<Timestamp>),
    ) -> PortResult<()>;

    /// Gives back a callback that was claimed and not tried: it is due at `due_at`. Nothing happens
    /// unless it is pending and still due at `claim`: otherwise it is somebody else's by now.
    async fn release(&self, id: CallbackId, claim: Timestamp, due_at: Timestamp) -> PortResult<()>;

    /// How many are pending. Where counting is billed, it may stop at some thousands.
    async fn pending_count(&self) -> PortResult<u64>;

    /// The callbacks of a request, by round.
    async fn of_request(&self, request: RequestId) -> PortResult<Vec<Callback>>;

    /// A redelivery by hand: makes a callback due at `now`, whatever became of it. False where there is none.
    async fn redeliver(&self, id: CallbackId, now: Timestamp) -> PortResult<bool>;
}
