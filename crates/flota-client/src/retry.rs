//! Which failed calls are made again, and when.

use std::time::Duration;

use flota_core::backoff;
use tokio::time::{Instant, sleep_until};

use crate::Error;

/// How long a call is made again: a fleet that is started again, or moved, is back by then.
const RETRY_FOR: Duration = Duration::from_secs(5 * 60);
/// Longest wait before the second try, and
const BACKOFF_BASE: Duration = Duration::from_millis(500);
/// before any: a server that is back is not left idle for longer.
const BACKOFF_CAP: Duration = Duration::from_secs(15);
/// A wait that is longer is announced: a watching user would take the program for hung.
const SILENT_FOR: Duration = Duration::from_secs(2);
/// Longest wait that a server may ask for: beyond, the call fails instead of seeming to hang.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Makes `call` again while it fails for a cause that [passes](Error::passing), for five minutes at most: the
/// connection is lost, or the server has no room or no store at present. A server's `Retry-After` is kept to.
/// `on_wait` is called once with the failure, when two seconds have passed without an answer.
///
/// # Errors
/// The last one.
pub async fn patiently<T>(
    call: impl AsyncFn() -> Result<T, Error>,
    on_wait: impl FnOnce(&Error),
) -> Result<T, Error> {
    let mut on_wait = Some(on_wait);
    let started = Instant::now();
    let mut tries = 0;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tries += 1;
        let pause = match error.passing() {
            Some(Some(asked)) => asked.min(MAX_RETRY_AFTER),
            Some(None) => backoff(tries, BACKOFF_BASE, BACKOFF_CAP, rand::random()),
            None => return Err(error),
        };
        if started.elapsed() + pause > RETRY_FOR {
            return Err(error);
        }
        let resume_at = Instant::now() + pause;
        if resume_at >= started + SILENT_FOR
            && let Some(on_wait) = on_wait.take()
        {
            sleep_until(started + SILENT_FOR).await;
            on_wait(&error);
        }
        sleep_until(resume_at).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io};

    use reqwest::StatusCode;

    use super::*;
    use crate::Refusal;

    fn refusal(status: u16, retry_after: Option<u64>) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let retry_after = retry_after.map(Duration::from_secs);
        let sentence = "no".to_owned();
        Error::Refused(Refusal { status, retry_after, sentence, code: None, errors: Vec::new() })
    }

    async fn check(failure: impl Fn() -> Error, failures: u32) -> (bool, u32, Duration) {
        let (tries, started) = (Cell::new(0), Instant::now());
        let call = async || {
            tries.set(tries.get() + 1);
            if tries.get() > failures { Ok(()) } else { Err(failure()) }
        };
        let answer = patiently(call, |_| {});
        (answer.await.is_ok(), tries.get(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_without_room_is_asked_again_when_it_says() {
        let (is_ok, tries, waited) = check(|| refusal(503, Some(7)), 3).await;
        assert!(is_ok && tries == 4, "{tries}");
        assert_eq!(waited.as_secs(), 21);
        assert!(check(|| refusal(429, Some(1)), 1).await.0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_made_again_for_longer_than_five_minutes() {
        let (is_ok, tries, waited) = check(|| refusal(503, None), u32::MAX).await;
        assert!(!is_ok && tries > 10 && waited <= RETRY_FOR, "{tries} in {waited:?}");
        let (_, _, waited) = check(|| refusal(503, Some(86_400)), u32::MAX).await;
        assert!(waited <= RETRY_FOR, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_announced_once_after_two_seconds_and_a_short_one_is_not() {
        for (pause, failures, wanted) in [(1, 1, vec![]), (7, 3, vec![2]), (1, 5, vec![2])] {
            let (tries, started) = (Cell::new(0), Instant::now());
            let announced = std::cell::RefCell::new(Vec::new());
            let call = async || {
                tries.set(tries.get() + 1);
                if tries.get() > failures { Ok(()) } else { Err(refusal(503, Some(pause))) }
            };
            let on_wait = |_: &Error| {
                announced.borrow_mut().push(started.elapsed().as_secs());
            };
            patiently(call, on_wait).await.unwrap();
            assert_eq!(*announced.borrow(), wanted, "{failures} waits of {pause} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_the_same_is_not_tried_again() {
        for status in [400, 413, 422, 500, 507] {
            assert_eq!(check(|| refusal(status, None), 1).await.1, 1, "{status}");
        }
        let unread = || Error::File { path: "a.png".into(), source: io::Error::other("torn") };
        assert_eq!(check(unread, 1).await.1, 1);
    }
}
