use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::client::CallError;

/// A server's answer, whose body is still to be read.
pub(super) struct Answer(Response<Incoming>);

impl Answer {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        Self(response)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The value of `Retry-After`, as it came.
    pub(super) fn retry_after(&self) -> Option<&str> {
        self.headers().get(RETRY_AFTER)?.to_str().ok()
    }

    /// How long the body is, where the server says it.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.0.body().size_hint().exact()
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        while let Some(frame) = self.0.body_mut().frame().await {
            let frame = frame.map_err(|error| {
                let cause: Box<dyn Error + Send + Sync> = Box::new(error);
                CallError::Broken(cause)
            })?;
            // Trailers are not looked at.
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}
