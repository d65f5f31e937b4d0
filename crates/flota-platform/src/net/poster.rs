use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flota_core::{
    ports::{PostAnswer, PostError, PostRequest, Poster},
    with_causes,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::timeout;
use url::Url;

use super::{
    ForbiddenAddress, GuardedClient,
    answer::Answer,
    client::{CallError, Outgoing},
};

/// How much of an answer's body is read, and for how long, so that the connection can be used again.
/// The answer is known by then: whatever becomes of its body changes nothing.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MAX_BODY_WAIT: Duration = Duration::from_secs(1);

/// Posts through a [`GuardedClient`].
#[derive(Clone)]
pub struct HttpPoster {
    client: GuardedClient,
}

impl HttpPoster {
    /// Posts through `client`.
    pub fn new(client: GuardedClient) -> Self {
        Self { client }
    }

    async fn send(&self, url: Url, request: PostRequest) -> Result<Answer, PostError> {
        let headers = headers(&request.headers)?;
        let body = Bytes::from(request.body);
        let outgoing = Outgoing { method: Method::POST, url, headers, body };
        self.client.send(&outgoing).await.map_err(failed)
    }
}

#[async_trait]
impl Poster for HttpPoster {
    async fn post(&self, request: PostRequest) -> Result<PostAnswer, PostError> {
        let url = self.client.check(&request.url).map_err(forbidden)?;
        let deadline = request.deadline;
        let sent = timeout(deadline, self.send(url, request)).await;
        let answer = sent.unwrap_or(Err(PostError::Timeout(deadline)))?;
        let posted = PostAnswer {
            status: answer.status().as_u16(),
            retry_after: answer.retry_after().map(str::to_owned),
        };
        let _ = timeout(MAX_BODY_WAIT.min(deadline), drain(answer)).await;
        Ok(posted)
    }
}

async fn drain(mut answer: Answer) {
    let mut read_bytes = 0;
    while read_bytes < MAX_ANSWER_BYTES
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        read_bytes += chunk.len().max(1);
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, PostError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let refused = || PostError::Failed(format!("`{name}` is not a header that can be sent"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        headers.append(key, HeaderValue::from_str(value).map_err(|_| refused())?);
    }
    Ok(headers)
}

fn forbidden(error: ForbiddenAddress) -> PostError {
    PostError::ForbiddenAddress(error.to_string())
}

fn failed(error: CallError) -> PostError {
    match error {
        CallError::Forbidden(error) => forbidden(error),
        error => PostError::Failed(with_causes(&error)),
    }
}
