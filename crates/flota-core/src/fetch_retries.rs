//! How long faults of its image's host have delayed a task.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The faults of its image's host that a task has met. They are limited by time and do not count as
/// attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRetries {
    /// When the first fault happened.
    pub since: Timestamp,
    /// The number of fetches that failed. Fetches that were skipped because the host's breaker was
    /// open do not count.
    #[serde(default)]
    pub count: u32,
}

impl FetchRetries {
    /// Adds a fault at `now` to `earlier` ones; `is_own` if a fetch was made.
    pub fn after(earlier: Option<Self>, now: Timestamp, is_own: bool) -> Self {
        let earlier = earlier.unwrap_or(Self { since: now, count: 0 });
        Self { count: earlier.count.saturating_add(u32::from(is_own)), ..earlier }
    }

    /// The part of `retry_for` that is left. All of it if the clock went back to before the first
    /// fault.
    pub fn left(&self, now: Timestamp, retry_for: Duration) -> Duration {
        let passed = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        retry_for.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_is_remembered_and_only_fetches_that_were_made_count() {
        let first = Timestamp::UNIX_EPOCH;
        let second = first + Duration::from_secs(50);
        let mut retries = FetchRetries::after(None, first, false);
        assert_eq!((retries.since, retries.count), (first, 0));
        retries = FetchRetries::after(Some(retries), second, true);
        assert_eq!((retries.since, retries.count), (first, 1));
        let left = |seconds| retries.left(second, Duration::from_secs(seconds));
        assert_eq!((left(60), left(40)), (Duration::from_secs(10), Duration::ZERO));
    }
}
