use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    Alias, Callback, CallbackAttempt, CallbackId, CallbackState, ClientName, Counts, ModelName,
    ObjectIdentity, Pack, PackKey, PackRecord, PortResult, Prediction, PredictionKey, Request,
    RequestId, Resend, Round, RoundKey, Sha256, TaskId, TaskOutcome,
};

/// The store of requests, rounds and outcomes. `Ok` of a write means that it is durable.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Stores a request and its first round in one write, unless the idempotency key exists.
    async fn accept(&self, accept: &Accept) -> PortResult<Accepted>;

    /// Reads a request; `None` if it does not exist.
    async fn request(&self, id: RequestId) -> PortResult<Option<Request>>;

    /// Reads the rounds of a request, in order.
    async fn rounds(&self, id: RequestId) -> PortResult<Vec<Round>>;

    /// Reads the record of a pack; an empty one if nothing was recorded.
    async fn pack(&self, key: PackKey) -> PortResult<PackRecord>;

    /// Reads the pack records of a round, each with the index of its pack.
    async fn packs(&self, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>>;

    /// Reads the recorded outcomes of the tasks in `packs`, by number. It reads only these packs
    /// and, if the store can, only these tasks.
    async fn outcomes(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Vec<TaskOutcome>>;

    /// Counts the tasks of a round by state. `packs` must be [all packs of the
    /// round](Round::packs). If the store has one record per pack, complete packs are not read: the
    /// round has their counts.
    async fn counts(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Counts>;

    /// Sets the outcomes that are absent, and reads the pack back.
    async fn record(&self, key: PackKey, outcomes: &[TaskOutcome]) -> PortResult<Recorded>;

    /// Adds a pack, whose tasks have the counts `ended`, to the complete packs of its round, and
    /// reads the round back.
    async fn complete_pack(&self, key: PackKey, ended: Counts) -> PortResult<Round>;

    /// Marks a round finished and creates its callback, each only if absent, in one transaction.
    /// False if the round was finished before.
    async fn finish(&self, finish: &Finish) -> PortResult<bool>;

    /// Opens the round `key`, which runs `tasks` again. False unless the round before is the last
    /// one and finished.
    async fn open_round(
        &self,
        key: RoundKey,
        tasks: &BTreeSet<u32>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> PortResult<bool>;

    /// Claims up to `limit` open rounds that are due at `now`, by making each due again at `next`.
    async fn claim_overdue(
        &self,
        now: Timestamp,
        next: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Round>>;

    /// Makes an open round due at `due_at`. A finished round does not change.
    async fn set_due(&self, key: RoundKey, due_at: Timestamp) -> PortResult<()>;

    /// Records that a copy of a pack's open tasks was sent, unless one with a higher number was.
    async fn set_resent(&self, key: PackKey, resend: Resend) -> PortResult<()>;

    /// Counts an attempt at a task in a round, durably and before it begins, and returns the new
    /// count.
    async fn count_attempt(&self, task: TaskId, round: u32) -> PortResult<u32>;

    /// The counted attempts at a task in a round.
    async fn attempts(&self, task: TaskId, round: u32) -> PortResult<u32>;
}

/// A request to store.
#[derive(Debug, Clone, PartialEq)]
pub struct Accept {
    /// The request.
    pub request: Request,
    /// When the first round is due if its tasks have not been sent by then.
    pub due_at: Timestamp,
    /// The idempotency key, if the client sent one.
    pub idempotency: Option<IdempotencyKey>,
}

/// Identifies repeated submissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client.
    pub client: ClientName,
    /// The key.
    pub key: String,
    /// The SHA-256 of the submission.
    pub fingerprint: Sha256,
}

/// The result of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The request was stored.
    New,
    /// The same submission was stored earlier, with this id.
    Same(RequestId),
    /// Another submission was stored under this idempotency key.
    Conflict,
}

/// The result of recording outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The pack, read back.
    pub pack: PackRecord,
    /// The tasks whose outcome was set by this write. The others had one.
    pub set: Vec<u32>,
}

/// A round to mark finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// The round.
    pub key: RoundKey,
    /// When its last task ended.
    pub at: Timestamp,
    /// The callback to create; `None` if the client wants none.
    pub callback: Option<Callback>,
}

/// The store of predictions. Workers only read it.
#[async_trait]
pub trait Predictions: Send + Sync {
    /// Reads the predictions that exist, in any order. An adapter splits `keys` as its store
    /// requires.
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>>;

    /// Stores predictions. An existing one does not change, unless its version ends in `-dev`.
    async fn put(&self, predictions: &[Prediction]) -> PortResult<()>;

    /// Returns the keys whose predictions are stored and will not be deleted before outcomes that
    /// name them are recorded.
    async fn used(&self, keys: &[PredictionKey]) -> PortResult<Vec<PredictionKey>> {
        // In a store that never deletes predictions, those that were seen once still exist.
        Ok(keys.to_vec())
    }

    /// Reads the predictions of an image, newest first, only those of `model` if given.
    async fn of_image(
        &self,
        sha256: Sha256,
        model: Option<&ModelName>,
    ) -> PortResult<Vec<Prediction>>;
}

/// The store of aliases: the contents of S3 objects. An object with an alias need not be fetched.
/// Workers only read it.
#[async_trait]
pub trait Aliases: Send + Sync {
    /// Reads the aliases that exist, in any order. An adapter splits `objects` as its store
    /// requires.
    async fn get(&self, objects: &[ObjectIdentity]) -> PortResult<Vec<Alias>>;

    /// Stores aliases. The content of an identity never changes, so that a repeated write has no
    /// effect.
    async fn put(&self, aliases: &[Alias]) -> PortResult<()>;
}

/// The store of callbacks, which [`Requests::finish`] creates.
#[async_trait]
pub trait Callbacks: Send + Sync {
    /// Claims up to `limit` callbacks that are due at `now`, by making each due again at `until`.
    /// If the notifier dies, another one claims them then.
    async fn claim_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Callback>>;

    /// Records an attempt. The state and the next time change only if the callback is still due at
    /// `claim`: a manual redelivery replaces the pending attempt.
    async fn attempted(
        &self,
        id: CallbackId,
        claim: Timestamp,
        attempt: &CallbackAttempt,
        next: (CallbackState, Option<Timestamp>),
    ) -> PortResult<()>;

    /// Releases a callback that was claimed and not attempted: it is due at `due_at`. It has no
    /// effect unless the callback is pending and still due at `claim`, because somebody else has it
    /// otherwise.
    async fn release(&self, id: CallbackId, claim: Timestamp, due_at: Timestamp) -> PortResult<()>;

    /// Counts pending callbacks. If counting is billed, it may stop at some thousands.
    async fn pending_count(&self) -> PortResult<u64>;

    /// Reads the callbacks of a request, by round.
    async fn of_request(&self, request: RequestId) -> PortResult<Vec<Callback>>;

    /// Makes a callback due at `now`, in any state. False if it does not exist.
    async fn redeliver(&self, id: CallbackId, now: Timestamp) -> PortResult<bool>;
}
