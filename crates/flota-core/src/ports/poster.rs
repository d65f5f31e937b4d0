use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// HTTP out, to addresses that strangers named. It follows no redirect.
#[async_trait]
pub trait Poster: Send + Sync {
    /// Posts `request` and answers within its deadline, from the look-up of the name to the last
    /// byte of the answer's body.
    async fn post(&self, request: PostRequest) -> Result<PostAnswer, PostError>;
}

/// A POST to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostRequest {
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// From the look-up of the name to the last byte of the answer's body.
    pub deadline: Duration,
}

/// What the receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Retry-After`, if any, as it came.
    pub retry_after: Option<String>,
}

/// A POST that had no answer.
#[derive(Debug, Error)]
pub enum PostError {
    /// The address is one that we do not post to.
    #[error("{0}")]
    ForbiddenAddress(String),
    /// No complete answer within the deadline.
    #[error("no complete answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// No connection, a broken one, or an answer that is not HTTP.
    #[error("{0}")]
    Failed(String),
}
