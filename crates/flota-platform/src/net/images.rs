use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use flota_core::{
    Code, PortError, PortResult, Sha256,
    ports::{Clock, FetchError, FetchPlace, Images, Retry},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION},
};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::{
    ForbiddenAddress, GuardedClient, HostLimiter,
    answer::Answer,
    client::{CallError, Outgoing},
    host_limiter::HostPlace,
    redacted, retry_after,
};
use crate::content_encoding::ContentEncodings;

/// Memory taken for a body before its first byte, in bytes: a server may announce what it never
/// sends.
const FIRST_BUFFER_BYTES: u64 = 256 * 1024;
/// How long a body may be slower than the least rate at its beginning.
const RATE_GRACE: Duration = Duration::from_secs(5);
/// Chunks of a body that may be as small as they like; those after them have [`LEAST_CHUNK_BYTES`] on
/// average, for each costs as much as a thousand bytes.
const SMALL_CHUNKS: u64 = 4_096;
const LEAST_CHUNK_BYTES: u64 = 16;

/// Images on the web.
#[derive(Clone)]
pub struct HttpImages {
    client: GuardedClient,
    limiter: HostLimiter,
    clock: Arc<dyn Clock>,
    limits: FetchLimits,
}

/// The bounds of a fetch.
#[derive(Debug, Clone)]
pub struct FetchLimits {
    /// From the look-up of the first name to the last byte.
    pub deadline: Duration,
    /// From the look-up of a name to the head of the answer, at each hop.
    pub first_byte: Duration,
    /// Slowest body, in bytes a second, after its first seconds.
    pub min_bytes_per_second: u64,
    /// Most redirects that are followed.
    pub max_redirects: usize,
    /// The longest `Retry-After` that is honoured.
    pub max_retry_after: Duration,
}

/// What a hop led to.
enum Hop {
    Image(Bytes),
    Redirect(Url),
}

impl HttpImages {
    /// Fetches through `client`, within `limits`, where `gate` has a place.
    pub fn new(
        client: GuardedClient,
        limiter: HostLimiter,
        clock: Arc<dyn Clock>,
        limits: FetchLimits,
    ) -> Self {
        Self { client, limiter, clock, limits }
    }

    fn check(&self, address: &str) -> Result<Url, FetchError> {
        let url = self.client.check(address).map_err(forbidden)?;
        match url.port() {
            Some(0) => Err(FetchError::new(Code::FetchNotFound, "no server can be on port 0")),
            _ => Ok(url),
        }
    }

    /// Fetches from hop to hop, each in a place at its host.
    async fn follow(
        &self,
        place: &mut Option<HostPlace>,
        mut url: Url,
        max_bytes: u64,
    ) -> Result<Bytes, FetchError> {
        for _ in 0..=self.limits.max_redirects {
            let is_there = place.as_ref().is_some_and(|place| place.host() == host(&url));
            if !is_there {
                *place = None;
                let entered = place.insert(self.limiter.enter(host(&url)).await?);
                entered.begin();
            }
            let hop = self.hop(&url, max_bytes).await;
            let is_last = !matches!(&hop, Ok(Hop::Redirect(next)) if host(next) == host(&url));
            let hop = match place.take() {
                Some(held) if is_last => held.end(hop)?,
                held => {
                    *place = held;
                    hop?
                }
            };
            match hop {
                Hop::Image(bytes) => return Ok(bytes),
                Hop::Redirect(next) => url = next,
            }
        }
        let message =
            format!("the image's server redirects more than {} times", self.limits.max_redirects);
        Err(FetchError::new(Code::FetchNotFound, message))
    }

    async fn hop(&self, url: &Url, max_bytes: u64) -> Result<Hop, FetchError> {
        let identity = (ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let outgoing = Outgoing {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::from_iter([identity]),
            body: Bytes::new(),
        };
        let Ok(sent) = timeout(self.limits.first_byte, self.client.send(&outgoing)).await else {
            let waited_ms = self.limits.first_byte.as_millis();
            let message = format!("the image's server did not answer within {waited_ms} ms");
            return Err(FetchError::new(Code::FetchTimeout, message));
        };
        let answer = sent.map_err(unanswered)?;
        let status = answer.status();
        tracing::debug!(url = redacted(url), status = status.as_u16(), "image server answered");
        if status.is_redirection() {
            return self.next_hop(url, &answer).map(Hop::Redirect);
        }
        self.refuse(&answer)?;
        let encodings = encodings(answer.headers())?;
        let body = self.read(answer, max_bytes).await?;
        Ok(Hop::Image(encodings.decode(body, max_bytes).await?))
    }

    /// Bytes beyond ASCII are UTF-8, as browsers take them.
    fn next_hop(&self, url: &Url, answer: &Answer) -> Result<Url, FetchError> {
        let Some(location) = answer.headers().get(LOCATION) else {
            let message = format!("the image's server answered {} to nowhere", answer.status());
            return Err(FetchError::new(Code::FetchNotFound, message));
        };
        let location = String::from_utf8_lossy(location.as_bytes());
        let next = url.join(&location).map_err(|error| {
            forbidden(ForbiddenAddress::Invalid(format!("a redirect's {error}")))
        })?;
        self.check(next.as_str())
    }

    fn refuse(&self, answer: &Answer) -> Result<(), FetchError> {
        let status = answer.status();
        let Some(code) = refusal(status) else { return Ok(()) };
        let error = FetchError::new(code, format!("the image's server answered {status}"));
        let asked = answer.retry_after().and_then(|text| retry_after(text, self.clock.now()));
        Err(match (error.retry, asked) {
            (Retry::Later { .. }, Some(after)) => {
                error.retried(Retry::Later { after: after.min(self.limits.max_retry_after) })
            }
            _ => error,
        })
    }

    async fn read(&self, mut answer: Answer, max_bytes: u64) -> Result<Bytes, FetchError> {
        let announced = answer.content_length().unwrap_or(0);
        if announced > max_bytes {
            return Err(too_large(max_bytes));
        }
        let capacity = usize::try_from(announced.min(FIRST_BUFFER_BYTES)).unwrap_or(0);
        let mut body = BytesMut::with_capacity(capacity);
        let (begun, rate) = (Instant::now(), self.limits.min_bytes_per_second.max(1));
        let mut chunk_count: u64 = 0;
        loop {
            let size_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
            let latest = begun + RATE_GRACE + Duration::from_millis(size_bytes * 1_000 / rate);
            let Ok(chunk) = timeout_at(latest, answer.chunk()).await else {
                let message = format!("the image came slower than {rate} bytes a second");
                return Err(FetchError::new(Code::FetchTimeout, message));
            };
            let Some(chunk) = chunk.map_err(unanswered)? else { return Ok(body.freeze()) };
            let size_bytes = size_bytes + chunk.len() as u64;
            if size_bytes > max_bytes {
                return Err(too_large(max_bytes));
            }
            chunk_count += 1;
            if chunk_count > SMALL_CHUNKS.max(size_bytes / LEAST_CHUNK_BYTES) {
                let message = "the image's server sends it in chunks of a few bytes";
                return Err(FetchError::new(Code::FetchFailed, message).retried(Retry::Never));
            }
            body.extend_from_slice(&chunk);
        }
    }
}

#[async_trait]
impl Images for HttpImages {
    async fn put(&self, _: Bytes) -> PortResult<Sha256> {
        Err(PortError::permanent("keeping an image", "nothing is kept on the web"))
    }

    async fn place(&self, address: &str) -> Result<FetchPlace, FetchError> {
        let url = self.check(address)?;
        Ok(FetchPlace::new(self.limiter.enter(host(&url)).await?))
    }

    /// The bytes at `address`, at most `max_bytes` of them, without their content encoding.
    ///
    /// 404 and 410 are `FETCH_NOT_FOUND`, 401 and 403 `FETCH_DENIED`, a forbidden or unreadable
    /// address `FETCH_FORBIDDEN_ADDRESS`, too many bytes `IMAGE_TOO_LARGE`, one of the time-outs
    /// `FETCH_TIMEOUT`; 408, 425, 429, 5xx, a broken connection and a body that ends early are
    /// `FETCH_FAILED`. Of the other answers, 402, 407 and 451 are `FETCH_DENIED`. The rest (400 and
    /// 304 among them), redirects in a loop or more than are followed, and port 0 are
    /// `FETCH_NOT_FOUND`: they lead to no image, and time does not change that.
    ///
    /// Servers are asked for no content encoding, for images hold nothing to compress. Where one
    /// is used all the same, a damaged one is `DECODE_CORRUPT` and an unknown one
    /// `DECODE_UNSUPPORTED`.
    ///
    /// A name that cannot be looked up just now is `FETCH_FAILED`. One that does not exist is
    /// `FETCH_FORBIDDEN_ADDRESS`, in the words of one that leads to a private address.
    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let place = self.place(address).await?;
        self.fetch_in(place, address, max_bytes).await
    }

    async fn fetch_in(
        &self,
        place: FetchPlace,
        address: &str,
        max_bytes: u64,
    ) -> Result<Bytes, FetchError> {
        let url = self.check(address)?;
        let mut place = place.take::<HostPlace>();
        if let Some(place) = &mut place {
            place.begin();
        }
        match timeout(self.limits.deadline, self.follow(&mut place, url, max_bytes)).await {
            Ok(fetched) => fetched,
            Err(_) => {
                let waited_ms = self.limits.deadline.as_millis();
                let message = format!("the image did not arrive within {waited_ms} ms");
                let late = Err(FetchError::new(Code::FetchTimeout, message));
                match place {
                    Some(place) => place.end(late),
                    None => late,
                }
            }
        }
    }
}

/// Whose places a fetch from `url` takes: those of the host, on whatever port.
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn encodings(headers: &HeaderMap) -> Result<ContentEncodings, FetchError> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    Ok(ContentEncodings::parse(values.map(|value| value.to_str().unwrap_or("unreadable")))?)
}

/// The code of an answer without an image; `None` where it has one.
fn refusal(status: StatusCode) -> Option<Code> {
    match status.as_u16() {
        // A part of an image must not be taken for the whole.
        206 => Some(Code::FetchFailed),
        200..=299 => None,
        401 | 402 | 403 | 407 | 451 => Some(Code::FetchDenied),
        408 | 425 | 429 | 500.. => Some(Code::FetchFailed),
        _ => Some(Code::FetchNotFound),
    }
}

fn too_large(max_bytes: u64) -> FetchError {
    FetchError::new(Code::ImageTooLarge, format!("the image has more than {max_bytes} bytes"))
}

fn forbidden(error: ForbiddenAddress) -> FetchError {
    FetchError::new(Code::FetchForbiddenAddress, error.to_string())
}

fn unanswered(error: CallError) -> FetchError {
    let failed = |message: String, error: CallError| {
        FetchError::new(Code::FetchFailed, message).caused_by(error)
    };
    match error {
        CallError::Forbidden(error) => forbidden(error),
        CallError::NotReached(_) => {
            failed("the image's server could not be reached".to_owned(), error)
        }
        CallError::NotResolved { .. } => failed(error.to_string(), error),
        CallError::Broken(_) => {
            failed("the connection to the image's server broke".to_owned(), error)
        }
        // The server would do it again.
        CallError::HeadTooLarge(_) | CallError::InterimAnswers | CallError::Unsendable(_) => {
            failed(format!("the image was not fetched: {error}"), error).retried(Retry::Never)
        }
    }
}
