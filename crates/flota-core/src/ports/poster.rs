use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// Outgoing POSTs to URLs that clients name. Redirects are not followed.
#[async_trait]
pub trait Poster: Send + Sync {
    /// Posts `request`. It returns within the deadline, which includes the name lookup and reading
    /// the whole answer.
    async fn post(&self, request: PostRequest) -> Result<PostAnswer, PostError>;
}

/// A POST to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostRequest {
    /// The URL.
    pub url: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Longest time from the name lookup to the last byte of the answer.
    pub deadline: Duration,
}

/// The answer of the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The value of the header `Retry-After`, unparsed.
    pub retry_after: Option<String>,
}

/// A POST without an answer.
#[derive(Debug, Error)]
pub enum PostError {
    /// The URL is blocked; the reason.
    #[error("{0}")]
    ForbiddenAddress(String),
    /// The receiver did not answer completely within the deadline.
    #[error("no complete answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// No connection, a broken connection, or an answer that is not HTTP.
    #[error("{0}")]
    Failed(String),
}
