//! The calls of the API.

use std::{io, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use flota_api::{ModelList, ModelView, OutcomeView, RequestView, Submission, UploadedImage};
use flota_core::{RequestId, limits::MAX_CLIENT_WAIT};
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Body, Method, RequestBuilder, Url, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::{fs::File, io::AsyncReadExt};

use crate::{Error, Refusal, verbatim::VerbatimObject};

/// An answer that takes longer than the longest wait that can be asked for is none.
const TIMEOUT: Duration = MAX_CLIENT_WAIT.saturating_add(Duration::from_secs(30));
/// A fleet on the other side of the world connects within that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Outcomes asked for at once: the most that the API gives.
const OUTCOMES_PAGE: u32 = 200;

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A fleet, by the URL of its server. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
}

impl Client {
    /// The fleet at `base`. No proxy of the environment is used.
    pub fn new(base: Url) -> Self {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .build()
            .expect("the options are fixed");
        Self { base, http }
    }

    /// Uploads the bytes of an image.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn upload(&self, bytes: impl Into<Bytes>) -> Result<UploadedImage, Error> {
        let bytes: Bytes = bytes.into();
        self.upload_body(bytes.into()).await
    }

    /// Uploads the image in a file, which is not read into memory at once.
    ///
    /// # Errors
    /// If the file cannot be read, or the server does not take it.
    pub async fn upload_file(&self, path: impl AsRef<Path>) -> Result<UploadedImage, Error> {
        let path = path.as_ref();
        let body = file_body(path).await;
        let body = body.map_err(|source| Error::File { path: path.to_owned(), source })?;
        self.upload_body(body).await
    }

    async fn upload_body(&self, body: Body) -> Result<UploadedImage, Error> {
        let call = self
            .call(Method::POST, "v1/images")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body);
        self.answer(call).await
    }

    /// Submits a request. Where `idempotency_key` was used for the same request before, nothing is started, and
    /// the answer is that request.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn submit(
        &self,
        submission: &Submission,
        idempotency_key: Option<&str>,
    ) -> Result<RequestView, Error> {
        let mut call = self.call(Method::POST, "v1/requests").json(submission);
        if let Some(key) = idempotency_key {
            call = call.header("Idempotency-Key", key);
        }
        self.answer(call).await
    }

    /// Where a request stands, with every outcome, each value as the server writes it.
    ///
    /// # Errors
    /// If there is no such request.
    pub async fn request_json(&self, id: RequestId) -> Result<VerbatimObject, Error> {
        let unexpected = |source| Error::UnexpectedAnswer { base: self.base.clone(), source };
        let after = |page: &VerbatimObject| page.read::<u32>("next_after").map_err(unexpected);
        let outcomes = |page: &VerbatimObject| -> Result<Vec<Box<RawValue>>, Error> {
            Ok(page.read("outcomes").map_err(unexpected)?.unwrap_or_default())
        };
        let mut request: VerbatimObject = self.page(id, None, Duration::ZERO).await?;
        let mut next = after(&request)?;
        if next.is_none() {
            return Ok(request);
        }
        let mut all = outcomes(&request)?;
        while next.is_some() {
            let page: VerbatimObject = self.page(id, next, Duration::ZERO).await?;
            all.extend(outcomes(&page)?);
            next = after(&page)?;
        }
        request.replace("outcomes", &all).map_err(unexpected)?;
        request.remove("next_after");
        Ok(request)
    }

    /// Where a request stands, with its first page of outcomes; held for up to `wait` while it is
    /// not finished. See [`Client::wait`].
    ///
    /// # Errors
    /// If there is no such request.
    pub async fn request(&self, id: RequestId, wait: Duration) -> Result<RequestView, Error> {
        let call = self.call(Method::GET, &format!("v1/requests/{id}"));
        self.answer(call.query(&[("wait", wait.as_secs())])).await
    }

    /// Every outcome of a request so far, by the tasks' numbers.
    ///
    /// # Errors
    /// If there is no such request.
    pub async fn outcomes(&self, id: RequestId) -> Result<Vec<OutcomeView>, Error> {
        let (mut outcomes, mut after) = (Vec::new(), None);
        loop {
            let page: RequestView = self.page(id, after, Duration::ZERO).await?;
            outcomes.extend(page.outcomes);
            after = page.next_after;
            if after.is_none() {
                return Ok(outcomes);
            }
        }
    }

    /// Where a request stands, with a page of outcomes of the tasks after the one numbered `after`.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        id: RequestId,
        after: Option<u32>,
        wait: Duration,
    ) -> Result<T, Error> {
        let wait = Some(wait.as_secs()).filter(|seconds| *seconds > 0);
        let query = [
            ("limit", Some(OUTCOMES_PAGE.into())),
            ("after", after.map(u64::from)),
            ("wait", wait),
        ];
        self.answer(self.call(Method::GET, &format!("v1/requests/{id}")).query(&query)).await
    }

    /// The models that are known, by name.
    ///
    /// # Errors
    /// If the server cannot tell.
    pub async fn models(&self) -> Result<Vec<ModelView>, Error> {
        let list: ModelList = self.answer(self.call(Method::GET, "v1/models")).await?;
        Ok(list.models)
    }

    /// The models that are known, as the server writes them.
    ///
    /// # Errors
    /// If the server cannot tell.
    pub async fn models_json(&self) -> Result<Box<RawValue>, Error> {
        self.answer(self.call(Method::GET, "v1/models")).await
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        self.http.request(method, url)
    }

    pub(crate) async fn answer<T: DeserializeOwned>(
        &self,
        call: RequestBuilder,
    ) -> Result<T, Error> {
        let base = || self.base.clone();
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            base: base(),
            source: error.without_url(),
        };
        let answer = call.send().await.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(Error::Refused(Refusal::read(status, &headers, &body)));
        }
        let read = serde_json::from_slice(&body);
        read.map_err(|source| Error::UnexpectedAnswer { base: base(), source })
    }
}

async fn file_body(path: &Path) -> io::Result<Body> {
    let file = File::open(path).await?;
    if file.metadata().await?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
    }
    let chunks = stream::try_unfold(file, async |mut file| {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let is_end = file.read_buf(&mut chunk).await? == 0;
        io::Result::Ok((!is_end).then(|| (Frame::data(chunk.freeze()), file)))
    });
    Ok(Body::wrap(StreamBody::new(chunks)))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use axum::{
        Router,
        body::{Body, to_bytes},
        extract::RawQuery,
        http::StatusCode,
        routing::{get, post},
    };
    use tokio::net::TcpListener;

    use super::*;

    /// More than the sockets between a client and a server hold.
    const LARGE: usize = 16 * 1024 * 1024;

    #[tokio::test]
    async fn an_upload_that_fails_says_what_the_server_says() {
        const PROBLEM: &str =
            r#"{"title": "t", "detail": "the disk is full", "code": "STORAGE_FULL"}"#;
        // It answers before it has read the body, and then reads it, as our server does.
        let answer = |body: Body| async {
            tokio::spawn(to_bytes(body, usize::MAX));
            (StatusCode::INSUFFICIENT_STORAGE, PROBLEM)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/images", post(answer));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });

        let file = tempfile::NamedTempFile::new().unwrap();
        let client = Client::new(url.parse().unwrap());
        for size in [1, LARGE] {
            file.as_file().set_len(size as u64).unwrap();
            let error = client.upload_file(file.path()).await.unwrap_err();
            assert_eq!(error.to_string(), "the disk is full (STORAGE_FULL)", "{size}");
        }
        let error = client.upload_file("/").await.unwrap_err();
        assert_eq!(error.to_string(), "cannot read /");
        assert_eq!(error.source().unwrap().to_string(), "is a folder");
        serving.abort();
    }

    #[tokio::test]
    async fn a_fleet_that_is_not_there_is_one_sentence_with_one_cause() {
        let address = {
            let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap()
        };
        let client = Client::new(format!("http://{address}").parse().unwrap());
        let error = client.models().await.unwrap_err();
        assert_eq!(error.to_string(), format!("no fleet at http://{address}"));
        let cause = error.source().unwrap();
        assert!(cause.to_string().starts_with("Connection refused"), "{cause}");
        assert!(cause.source().is_none());
    }

    #[tokio::test]
    async fn the_pages_of_a_request_become_one_and_metadata_stays_as_it_was_sent() {
        const METADATA: &str =
            "{ \"b\": 1e999,\n\"a\":10000000000000000000000000000001, \"s\":\"\u{e9}\" }";
        const ID: &str = "req_01a1fc26bc9979c9a01869fe472fb51e";
        const OUTCOME: &str = r#""task":"task_1-0","round":1,"image":{"url":"https://a/b"},"model":"cat","attempts":0,"timings":{},"ended_at":"2026-11-21T10:00:00Z","outcome":"expired""#;
        let answer = async |RawQuery(query): RawQuery| {
            let is_second = query.is_some_and(|query| query.contains("after=0"));
            let (n, next) = if is_second { (1, "") } else { (0, r#","next_after":0"#) };
            let counts =
                r#"{"total":2,"open":0,"succeeded":0,"failed":0,"expired":2,"canceled":0}"#;
            format!(
                r#"{{"status":"expired","id":"{ID}","metadata":{METADATA},"terminal":true,"counts":{counts},"models":["cat"],"image_count":2,"priority":"normal","timings":{{"created_at":"2026-11-21T10:00:00Z"}},"rounds":[],"callbacks":[],"outcomes":[{{"n":{n},{OUTCOME}}}]{next}}}"#
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/requests/{id}", get(answer));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let (client, id) = (Client::new(url.parse().unwrap()), ID.parse().unwrap());

        let request = serde_json::to_string(&client.request_json(id).await.unwrap()).unwrap();
        let start =
            format!(r#"{{"status":"expired","id":"{ID}","metadata":{METADATA},"terminal":true,"#);
        assert!(request.starts_with(&start), "{request}");
        let end = format!(r#""outcomes":[{{"n":0,{OUTCOME}}},{{"n":1,{OUTCOME}}}]}}"#);
        assert!(request.ends_with(&end), "{request}");
        // What is read does not fail by it either.
        let read = client.wait(id).await.unwrap();
        assert_eq!(read.metadata.unwrap().as_json(), METADATA);
        assert_eq!(client.outcomes(id).await.unwrap().len(), 2);
        serving.abort();
    }
}
