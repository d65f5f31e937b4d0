//! Which failed calls are made again, and when.

use std::{error::Error, fmt, time::Duration};

use flota_core::{backoff, ports::Clock};
use flota_platform::SystemClock;
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

/// How long a call is made again: a fleet that is started again, or moved, is back by then.
const RETRY_FOR: Duration = Duration::from_secs(5 * 60);
/// Longest wait before the second try, and
const BACKOFF_BASE: Duration = Duration::from_millis(500);
/// before any: a server that is back is not left idle for longer.
const BACKOFF_CAP: Duration = Duration::from_secs(15);
/// A wait that is longer is announced: a watching user would take the command for hung.
const SILENT_FOR: Duration = Duration::from_secs(2);
/// Longest wait that a server may ask for: beyond, the call fails instead of seeming to hang.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The server refused a call.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Refusal {
    /// With which status.
    pub status: StatusCode,
    /// After which time the server takes the call again.
    pub retry_after: Option<Duration>,
    /// What it says.
    pub sentence: String,
    /// The fields that it names.
    pub errors: Vec<FieldError>,
}

/// There is no fleet, or it did not answer. The source is the innermost cause alone: those around it, such as
/// "client error (Connect)", say nothing to people.
#[derive(Debug)]
pub(crate) struct Unreachable {
    /// Which fleet, and what to do.
    pub sentence: String,
    /// How the call failed.
    pub error: reqwest::Error,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Unreachable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let mut cause: &(dyn Error + 'static) = &self.error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Some(cause)
    }
}

/// A field that the server refused.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FieldError {
    /// Where it is in the body, such as `images[3].url`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl FieldError {
    /// The place of the image that the field is of.
    pub fn image(&self) -> Option<usize> {
        let (place, rest) = self.field.strip_prefix("images[")?.split_once(']')?;
        let is_of_image = rest.is_empty() || rest.starts_with('.');
        place.parse().ok().filter(|_| is_of_image)
    }
}

impl Refusal {
    /// Whether it is for what the call brought, such as an image that is too large, and says nothing of
    /// other calls.
    pub fn is_of_content(error: &anyhow::Error) -> bool {
        let refusal = error.downcast_ref::<Self>();
        refusal.is_some_and(|refusal| matches!(refusal.status.as_u16(), 400 | 413 | 415 | 422))
    }
}

/// What an answer says of when to call again: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// Makes `call` again while it fails for a cause that passes, for five minutes at most: the connection is
/// lost, or the server has no room or no store at present. A server's `Retry-After` is kept to. `on_wait` is
/// called once with the failure, when two seconds have passed without an answer.
///
/// # Errors
/// The last one.
pub(crate) async fn patiently<T>(
    call: impl AsyncFn() -> anyhow::Result<T>,
    on_wait: impl FnOnce(&anyhow::Error),
) -> anyhow::Result<T> {
    let mut on_wait = Some(on_wait);
    let started = Instant::now();
    let mut tries = 0;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tries += 1;
        let pause = match passing(&error) {
            Some(Some(asked)) => asked.min(MAX_RETRY_AFTER),
            Some(None) => backoff(tries, BACKOFF_BASE, BACKOFF_CAP, SystemClock.random()),
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

/// Whether the cause of `error` passes, and the wait that the server asks for.
fn passing(error: &anyhow::Error) -> Option<Option<Duration>> {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        let is_passing = matches!(refusal.status.as_u16(), 408 | 425 | 429 | 502 | 503 | 504);
        return is_passing.then_some(refusal.retry_after);
    }
    let lost = error.downcast_ref::<Unreachable>().map(|unreachable| &unreachable.error);
    lost.filter(|lost| !lost.is_builder() && !lost.is_decode()).map(|_| None)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn refusal(status: u16, retry_after: Option<u64>) -> anyhow::Error {
        let status = StatusCode::from_u16(status).unwrap();
        let retry_after = retry_after.map(Duration::from_secs);
        Refusal { status, retry_after, sentence: "no".to_owned(), errors: Vec::new() }.into()
    }

    async fn check(failure: impl Fn() -> anyhow::Error, failures: u32) -> (bool, u32, Duration) {
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
        let context = || refusal(429, Some(1)).context("cannot upload a.png");
        assert!(check(context, 1).await.0);
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
            let on_wait = |_: &anyhow::Error| {
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
        assert_eq!(check(|| anyhow::anyhow!("cannot read a.png"), 1).await.1, 1);
    }

    #[test]
    fn a_field_says_which_image_it_is_of() {
        let image =
            |field: &str| FieldError { field: field.to_owned(), message: String::new() }.image();
        assert_eq!((image("images[17].url"), image("images[0]")), (Some(17), Some(0)));
        for other in
            ["images", "images[]", "images[-1].url", "images[1", "callback.url", "models[0]"]
        {
            assert_eq!(image(other), None, "{other}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(reqwest::header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
    }
}
