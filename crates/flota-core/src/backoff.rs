//! Waits between attempts.

use std::time::Duration;

/// Returns the wait before attempt `attempt + 1`: a random time between zero and
/// `min(cap, base * 2^(attempt - 1))`. This is "full jitter": callers that failed together do not
/// retry together.
pub fn backoff(attempt: u32, base: Duration, cap: Duration, random: u64) -> Duration {
    let doubled =
        base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let ceiling_ms = u64::try_from(doubled.min(cap).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % ceiling_ms.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(attempt: u32, random: u64) {
            let (base, cap) = (Duration::from_millis(100), Duration::from_secs(30));
            let wait = backoff(attempt, base, cap, random);
            prop_assert!(wait <= cap);
            if attempt <= 1 {
                prop_assert!(wait <= base);
            }
        }
    }
}
