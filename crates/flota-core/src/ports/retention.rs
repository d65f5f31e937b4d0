use async_trait::async_trait;
use jiff::Timestamp;

use crate::PortResult;

/// Deletes old data, for stores that cannot do so themselves. Each step is small, so that it does
/// not block others.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes data of `kind` in one step, which begins after the key `after`: records that were
    /// last used before `before` and that nothing needs. Records that belong to a request which is
    /// unfinished, has a pending callback or has an open dead letter are never deleted.
    async fn delete(
        &self,
        kind: StoredKind,
        before: Timestamp,
        after: Option<&str>,
    ) -> PortResult<Deleted>;

    /// When deletion last trusted the clock; `None` before the first time.
    async fn believed_at(&self) -> PortResult<Option<Timestamp>>;

    /// Records that the clock is trusted at `at`.
    async fn believe(&self, at: Timestamp) -> PortResult<()>;

    /// Returns freed space to the file system in one step. The number of bytes; 0 at the end.
    async fn shrink(&self) -> PortResult<u64>;
}

/// A kind of data that is deleted by age.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum StoredKind {
    /// Messages that were not received, by the time when they were sent.
    Messages,
    /// Requests with their rounds, outcomes, callbacks and idempotency keys, by the time when their
    /// last round finished.
    Requests,
    /// Dead letters that were replayed or discarded, by the time when they were.
    DeadLetters,
    /// Open dead letters, by the time when they were created.
    OpenDeadLetters,
    /// Replays that ended, by the time when they did.
    Replays,
    /// Predictions that no stored outcome names, by the time when an outcome last did.
    Predictions,
    /// Aliases of contents without a stored prediction, of any age.
    Aliases,
    /// Uploaded images that no stored request names, by the time of their last upload.
    Images,
}

/// The result of one step of deletion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// The number of deleted records.
    pub count: u64,
    /// The size of the deleted records or files, in bytes.
    pub size_bytes: u64,
    /// Where the next step begins; `None` if all data was looked at.
    pub next: Option<String>,
}
