//! How long a task has been kept from its image by faults that are not the image's.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a task has met on the way to its image: faults of its host, which count by time and are no
/// attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRetries {
    /// When it first met one.
    pub since: Timestamp,
    /// How many of its own fetches failed so. Those that were not made, because its host was left
    /// alone, do not count.
    #[serde(default)]
    pub count: u32,
}

impl FetchRetries {
    /// `earlier`, and one more fault at `now`; `is_own` where a fetch was made.
    pub fn after(earlier: Option<Self>, now: Timestamp, is_own: bool) -> Self {
        let earlier = earlier.unwrap_or(Self { since: now, count: 0 });
        Self { count: earlier.count.saturating_add(u32::from(is_own)), ..earlier }
    }

    /// How much of `retry_for` is left; all of it where the clock went back behind the first fault.
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
