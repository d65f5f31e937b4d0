use async_trait::async_trait;
use jiff::Timestamp;

use crate::PortResult;

/// Deletion of what was stored long enough, where the store does not do it by itself. It goes in steps
/// that are small enough for nobody else to be held up.
#[async_trait]
pub trait Retention: Send + Sync {
    /// One step through what there is of `kind`, from `after` on: deletes what was last used before
    /// `before` and what nothing needs that stays. What a request needs that is not finished, whose
    /// callback is pending or that has an open dead letter, is never deleted.
    async fn delete(
        &self,
        kind: StoredKind,
        before: Timestamp,
        after: Option<&str>,
    ) -> PortResult<Deleted>;

    /// When deletion last saw a clock that it believed; `None` before it ever did.
    async fn believed_at(&self) -> PortResult<Option<Timestamp>>;

    /// Notes that the clock is believed at `at`.
    async fn believe(&self, at: Timestamp) -> PortResult<()>;

    /// One step of returning space that deletion left to the file system: how many bytes, 0 at the end.
    async fn shrink(&self) -> PortResult<u64>;
}

/// What is deleted by its age.
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
    /// Messages that no one took off their queue, by the time when they were sent.
    Messages,
    /// Requests with their rounds, outcomes, callbacks and idempotency keys, by the time when their last
    /// round finished.
    Requests,
    /// Dead letters that were replayed or discarded, by the time of that.
    DeadLetters,
    /// Dead letters that are open, by the time when they were made.
    OpenDeadLetters,
    /// Replays that ended, by the time when they did.
    Replays,
    /// Predictions that no stored outcome names, by the time when an outcome last did.
    Predictions,
    /// What objects contain of which no prediction is stored, whatever its age.
    Aliases,
    /// Uploaded images that no stored request names, by the time when they were last uploaded.
    Images,
}

/// What one step deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// How many of the kind.
    pub count: u64,
    /// The bytes of their records, or of their files.
    pub size_bytes: u64,
    /// Where the next step begins; `None` at the end.
    pub next: Option<String>,
}
