use std::time::Duration;

use flota_core::{
    Callback, CallbackState,
    ports::{PostAnswer, PostError},
};
use flota_platform::{net::retry_after, settings::NotifierSettings};
use jiff::Timestamp;

/// Largest jitter in per cent: a wait becomes 80 to 120 per cent of its length.
const JITTER_PER_CENT: u64 = 20;

/// The consequences of an attempt for the callback and its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The new state of the callback.
    pub(super) state: CallbackState,
    /// When the next attempt is due.
    pub(super) due_at: Option<Timestamp>,
    /// Whether the receiver seems down or overloaded. False if it only rejects this callback.
    pub(super) receiver_failed: bool,
}

/// The consequences of an attempt that ended at `now`.
pub(super) fn verdict(
    callback: &Callback,
    answer: &Result<PostAnswer, PostError>,
    settings: &NotifierSettings,
    now: Timestamp,
    random: u64,
) -> Verdict {
    let (status, asked) = match answer {
        Ok(answer) => (Some(answer.status), answer.retry_after.as_deref()),
        Err(_) => (None, None),
    };
    let ended = |state| Verdict { state, due_at: None, receiver_failed: false };
    match status {
        Some(200..=299) => return ended(CallbackState::Delivered),
        Some(410) => return ended(CallbackState::Disabled),
        _ => {}
    }
    let receiver_failed = status.is_none_or(|status| status >= 500 || status == 429);
    let Some(wait) = settings.schedule.get(callback.attempts.len()) else {
        return Verdict { receiver_failed, ..ended(CallbackState::Failed) };
    };
    let asked = asked
        .filter(|_| matches!(status, Some(429 | 503)))
        .and_then(|text| retry_after(text, now))
        .unwrap_or_default()
        .min(NotifierSettings::MAX_RETRY_AFTER);
    // The next attempt is due neither before the schedule nor before `Retry-After`.
    let wait = jittered(*wait, random).max(asked);
    Verdict { state: CallbackState::Pending, due_at: Some(now + wait), receiver_failed }
}

/// A random wait of 80 to 120 per cent of `wait`.
pub(super) fn jittered(wait: Duration, random: u64) -> Duration {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let spread = wait_ms.saturating_mul(2 * JITTER_PER_CENT) / 100;
    let least = wait_ms.saturating_mul(100 - JITTER_PER_CENT) / 100;
    Duration::from_millis(least.saturating_add(random % spread.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use flota_core::{CallbackAttempt, CallbackEvent, CallbackId, RequestId};
    use flota_platform::settings::Settings;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn check(attempt_count: usize, status: Option<u16>, retry_after: Option<&str>) -> Verdict {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let id = CallbackId { request: RequestId(Uuid::from_u128(1)), round: 1 };
        let event = CallbackEvent::RequestFinished;
        let mut callback = Callback::new(id, "https://a/".into(), event, now);
        let attempt = CallbackAttempt { at: now, status: Some(500), error: None, duration_ms: 1 };
        callback.attempts = vec![attempt; attempt_count];
        let settings = Settings::from_sources(None, [], &[]).unwrap().notifier;
        let retry_after = retry_after.map(str::to_owned);
        let answer = match status {
            Some(status) => Ok(PostAnswer { status, retry_after }),
            None => Err(PostError::Timeout(settings.timeout)),
        };
        verdict(&callback, &answer, &settings, now, 0)
    }

    fn wait_of(verdict: Verdict) -> Duration {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(verdict.state, CallbackState::Pending);
        verdict.due_at.unwrap().duration_since(now).try_into().unwrap()
    }

    #[test]
    fn only_2xx_is_success_and_410_wants_no_more() {
        for status in [200, 201, 204, 299] {
            assert_eq!(check(0, Some(status), None).state, CallbackState::Delivered, "{status}");
        }
        assert_eq!(check(0, Some(410), None).state, CallbackState::Disabled);
        for status in [100, 199, 301, 302, 307, 400, 404, 429, 500, 503] {
            assert_eq!(check(0, Some(status), None).state, CallbackState::Pending, "{status}");
        }
    }

    #[test]
    fn the_schedule_ends() {
        assert_eq!(wait_of(check(0, None, None)), Duration::from_secs(4));
        assert_eq!(wait_of(check(8, None, None)), Duration::from_secs(8 * 60 * 60));
        assert_eq!(check(9, None, None).state, CallbackState::Failed);
        assert_eq!(check(9, Some(204), None).state, CallbackState::Delivered);
    }

    #[test]
    fn retry_after_is_honoured_within_bounds() {
        assert_eq!(wait_of(check(0, Some(429), Some("90"))), Duration::from_secs(90));
        let date = "Thu, 01 Jan 2026 00:02:00 GMT";
        assert_eq!(wait_of(check(0, Some(503), Some(date))), Duration::from_secs(120));
        assert_eq!(wait_of(check(0, Some(503), Some("999999999999"))), Duration::from_secs(3600));
        for ignored in ["-1", "soon", "Thu, 01 Jan 2015 00:02:00 GMT", "0"] {
            assert_eq!(wait_of(check(0, Some(503), Some(ignored))), Duration::from_secs(4));
        }
        assert_eq!(wait_of(check(0, Some(500), Some("90"))), Duration::from_secs(4));
    }

    #[test]
    fn a_refusal_does_not_count_against_the_receiver() {
        assert!(!check(0, Some(404), None).receiver_failed);
        assert!(check(0, Some(500), None).receiver_failed);
        assert!(check(0, Some(429), None).receiver_failed);
        assert!(check(9, None, None).receiver_failed);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth(wait_ms in 0_u64..1_000_000_000, random: u64) {
            let jittered = jittered(Duration::from_millis(wait_ms), random).as_millis() as u64;
            prop_assert!(jittered >= wait_ms * 8 / 10 && jittered <= wait_ms * 12 / 10);
        }
    }
}
