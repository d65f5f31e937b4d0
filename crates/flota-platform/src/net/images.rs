use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use flota_core::{
    Code, OBJECT_PREFIX, PortResult, Sha256,
    ports::{FetchError, Images, StagedFile, UPLOADED_PREFIX},
};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, LOCATION},
};
use tokio::time::timeout;
use url::Url;

use super::{ForbiddenAddress, GuardedClient, client::CallError, redacted};
use crate::content_encoding::ContentEncodings;

/// Memory taken for a body before its first byte, in bytes: a server may announce what it never
/// sends.
const FIRST_BUFFER_BYTES: u64 = 256 * 1024;

/// Images on the web.
#[derive(Clone)]
pub struct HttpImages {
    client: GuardedClient,
    deadline: Duration,
    max_redirects: usize,
}

impl HttpImages {
    /// Fetches through `client`, each within `deadline` from the look-up of the first name to the
    /// last byte, and follows at most `max_redirects` redirects.
    pub fn new(client: GuardedClient, deadline: Duration, max_redirects: usize) -> Self {
        Self { client, deadline, max_redirects }
    }

    /// The bytes at `address`, at most `max_bytes` of them, without their content encoding.
    ///
    /// 404 and 410 are `FETCH_NOT_FOUND`, 401 and 403 `FETCH_DENIED`, a forbidden or unreadable
    /// address `FETCH_FORBIDDEN_ADDRESS`, too many bytes `IMAGE_TOO_LARGE`, the deadline
    /// `FETCH_TIMEOUT`; 408, 425, 429, 5xx, a broken connection and a body that ends early are
    /// `FETCH_FAILED`. Of the other answers, 402, 407 and 451 are `FETCH_DENIED`. The rest (400 and
    /// 304 among them), redirects in a loop or more than are followed, and port 0 are
    /// `FETCH_NOT_FOUND`: they lead to no image, and time does not change that.
    ///
    /// Servers are asked for no content encoding, for images hold nothing to compress. Where one
    /// is used all the same, a damaged one is `DECODE_CORRUPT` and an unknown one
    /// `DECODE_UNSUPPORTED`.
    ///
    /// A name that is not resolved is `FETCH_FAILED`: the resolver of the operating system does not
    /// tell a name that does not exist from one that cannot be looked up just now.
    pub async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let url = self.client.check(address).map_err(forbidden)?;
        check_port(&url)?;
        match timeout(self.deadline, self.follow(url, max_bytes)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::new(
                Code::FetchTimeout,
                format!("the image did not arrive within {} ms", self.deadline.as_millis()),
            )),
        }
    }

    async fn follow(&self, mut url: Url, max_bytes: u64) -> Result<Bytes, FetchError> {
        for _ in 0..=self.max_redirects {
            let get = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            let sent = get.send().await;
            let response = sent.map_err(|error| unanswered(error.into()))?;
            let status = response.status();
            tracing::debug!(
                url = redacted(&url),
                status = status.as_u16(),
                "image server answered"
            );
            if !status.is_redirection() {
                refuse(status)?;
                let encodings = encodings(response.headers())?;
                let body = read(response, max_bytes).await?;
                return Ok(encodings.decode(body, max_bytes).await?);
            }
            url = self.next_hop(&url, &response)?;
        }
        let message =
            format!("the image's server redirects more than {} times", self.max_redirects);
        Err(FetchError::new(Code::FetchNotFound, message))
    }

    fn next_hop(&self, url: &Url, response: &Response) -> Result<Url, FetchError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location else {
            let message = format!("the image's server answered {} to nowhere", response.status());
            return Err(FetchError::new(Code::FetchNotFound, message));
        };
        let next = url.join(location).map_err(|error| {
            forbidden(ForbiddenAddress::Invalid(format!("a redirect's {error}")))
        })?;
        let next = self.client.check(next.as_str()).map_err(forbidden)?;
        check_port(&next)?;
        Ok(next)
    }
}

/// Images by the scheme of their address: those of a store, and others from the web.
pub struct AddressedImages {
    stored: Arc<dyn Images>,
    web: HttpImages,
}

impl AddressedImages {
    /// `flota://` and `s3://` addresses lead to `stored`, all others to `web`.
    pub fn new(stored: Arc<dyn Images>, web: HttpImages) -> Self {
        Self { stored, web }
    }
}

#[async_trait]
impl Images for AddressedImages {
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        self.stored.put(bytes).await
    }

    async fn put_file(&self, image: StagedFile) -> PortResult<()> {
        self.stored.put_file(image).await
    }

    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        if address.starts_with(UPLOADED_PREFIX) || address.starts_with(OBJECT_PREFIX) {
            self.stored.fetch(address, max_bytes).await
        } else {
            self.web.fetch(address, max_bytes).await
        }
    }

    async fn sha256(&self, address: &str) -> Option<Sha256> {
        self.stored.sha256(address).await
    }
}

fn encodings(headers: &HeaderMap) -> Result<ContentEncodings, FetchError> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    Ok(ContentEncodings::parse(values.map(|value| value.to_str().unwrap_or("unreadable")))?)
}

/// No server listens on port 0.
fn check_port(url: &Url) -> Result<(), FetchError> {
    match url.port() {
        Some(0) => Err(FetchError::new(Code::FetchNotFound, "no server can be on port 0")),
        _ => Ok(()),
    }
}

fn refuse(status: StatusCode) -> Result<(), FetchError> {
    let code = match status.as_u16() {
        // A part of an image must not be taken for the whole.
        206 => Code::FetchFailed,
        200..=299 => return Ok(()),
        401 | 402 | 403 | 407 | 451 => Code::FetchDenied,
        408 | 425 | 429 | 500.. => Code::FetchFailed,
        _ => Code::FetchNotFound,
    };
    Err(FetchError::new(code, format!("the image's server answered {status}")))
}

async fn read(mut response: Response, max_bytes: u64) -> Result<Bytes, FetchError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > max_bytes {
        return Err(too_large(max_bytes));
    }
    let capacity = usize::try_from(announced.min(FIRST_BUFFER_BYTES)).unwrap_or(0);
    let mut body = BytesMut::with_capacity(capacity);
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(error.into()))? {
        let size_bytes = u64::try_from(body.len() + chunk.len()).unwrap_or(u64::MAX);
        if size_bytes > max_bytes {
            return Err(too_large(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(max_bytes: u64) -> FetchError {
    FetchError::new(Code::ImageTooLarge, format!("the image has more than {max_bytes} bytes"))
}

fn forbidden(error: ForbiddenAddress) -> FetchError {
    FetchError::new(Code::FetchForbiddenAddress, error.to_string())
}

fn unanswered(error: CallError) -> FetchError {
    let error = match error {
        CallError::Forbidden(error) => return forbidden(error),
        CallError::Failed(error) => error,
    };
    let message = if error.is_connect() {
        "the image's server could not be reached"
    } else {
        "the connection to the image's server broke"
    };
    let source: Box<dyn Error + Send + Sync> = Box::new(error);
    FetchError { code: Code::FetchFailed, message: message.to_owned(), source: Some(source) }
}
