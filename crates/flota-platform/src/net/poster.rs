use async_trait::async_trait;
use flota_core::ports::{PostAnswer, PostError, PostRequest, Poster};
use reqwest::{
    Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio::time::timeout;
use url::Url;

use super::{
    ForbiddenAddress, GuardedClient,
    client::{CallError, describe},
};

/// How much of an answer's body is read, so that the connection can be used again; the rest is not
/// waited for.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

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

    async fn send(&self, url: Url, request: PostRequest) -> Result<PostAnswer, PostError> {
        let headers = headers(&request.headers)?;
        let sent = self.client.post(url).headers(headers).body(request.body).send().await;
        let mut response = sent.map_err(|error| failed(error.into()))?;
        let answer =
            PostAnswer { status: response.status().as_u16(), retry_after: retry_after(&response) };
        let mut read_bytes = 0;
        while read_bytes < MAX_ANSWER_BYTES
            && let Some(chunk) = response.chunk().await.map_err(|error| failed(error.into()))?
        {
            read_bytes += chunk.len();
        }
        Ok(answer)
    }
}

#[async_trait]
impl Poster for HttpPoster {
    async fn post(&self, request: PostRequest) -> Result<PostAnswer, PostError> {
        let url = self.client.check(&request.url).map_err(forbidden)?;
        let deadline = request.deadline;
        let answered = timeout(deadline, self.send(url, request)).await;
        answered.unwrap_or(Err(PostError::Timeout(deadline)))
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

fn retry_after(response: &Response) -> Option<String> {
    let value = response.headers().get(RETRY_AFTER)?;
    value.to_str().ok().map(str::to_owned)
}

fn forbidden(error: ForbiddenAddress) -> PostError {
    PostError::ForbiddenAddress(error.to_string())
}

fn failed(error: CallError) -> PostError {
    match error {
        CallError::Forbidden(error) => forbidden(error),
        CallError::Failed(error) => PostError::Failed(describe(&error)),
    }
}
