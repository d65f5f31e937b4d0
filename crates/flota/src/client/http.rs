use std::{borrow::Cow, io, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use flota_core::{RequestId, limits::MAX_CLIENT_WAIT};
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Body, Method, RequestBuilder, StatusCode, Url, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};
use tokio::{fs::File, io::AsyncReadExt};

use super::{
    ModelAnswer, OutcomeAnswer, Refusal, RequestAnswer, Submission, UploadAnswer,
    retry::{Unreachable, retry_after},
    verbatim::VerbatimObject,
};
use crate::{cli::DEFAULT_URL, print::plain};

/// An answer that takes longer than the longest wait that can be asked for is none.
const TIMEOUT: Duration = MAX_CLIENT_WAIT.saturating_add(Duration::from_secs(30));
/// A fleet on the other side of the world connects within that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Outcomes asked for at once: the most that the API gives.
const OUTCOMES_PAGE: u32 = 200;

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// An image to upload.
#[derive(Debug, Clone)]
pub(crate) enum UploadSource {
    /// The file there.
    File(PathBuf),
    /// These bytes.
    Memory {
        /// What people call it.
        name: String,
        /// The bytes.
        bytes: Bytes,
    },
}

/// A fleet, by its address.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    base: Url,
    http: reqwest::Client,
}

impl Client {
    /// The fleet at `base`.
    pub fn new(base: Url) -> Self {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .build()
            .expect("the options are fixed");
        Self { base, http }
    }

    /// Uploads an image; a file is not read into memory at once.
    ///
    /// # Errors
    /// If the file cannot be read or the server does not take it; the sentence names it.
    pub async fn upload(&self, image: &UploadSource) -> anyhow::Result<UploadAnswer> {
        let call = self
            .call(Method::POST, "v1/images")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(image.body().await?);
        self.answer(call).await.with_context(|| format!("cannot upload {}", image.name()))
    }

    /// Submits a request; where `key` was taken with the same request before, nothing is started.
    pub async fn submit(
        &self,
        submission: &Submission,
        key: Option<&str>,
    ) -> anyhow::Result<RequestAnswer> {
        let mut call = self.call(Method::POST, "v1/requests").json(submission);
        if let Some(key) = key {
            call = call.header("Idempotency-Key", key);
        }
        self.answer(call).await
    }

    /// Where a request stands, with every outcome, each value as the server writes it.
    pub async fn request_json(&self, id: RequestId) -> anyhow::Result<VerbatimObject> {
        let mut request: VerbatimObject = self.page(id, None).await?;
        let mut after: Option<u32> = request.read("next_after")?;
        if after.is_none() {
            return Ok(request);
        }
        let outcomes = |page: &VerbatimObject| -> anyhow::Result<Vec<Box<RawValue>>> {
            page.read("outcomes")?.context("a request has outcomes")
        };
        let mut all = outcomes(&request)?;
        while after.is_some() {
            let page: VerbatimObject = self.page(id, after).await?;
            all.extend(outcomes(&page)?);
            after = page.read("next_after")?;
        }
        request.replace("outcomes", &all)?;
        request.remove("next_after");
        Ok(request)
    }

    /// Where a request stands, with its first page of outcomes; held for up to `wait` while it is
    /// not finished.
    pub async fn request(&self, id: RequestId, wait: Duration) -> anyhow::Result<RequestAnswer> {
        let call = self.call(Method::GET, &format!("v1/requests/{id}"));
        self.answer(call.query(&[("wait", wait.as_secs())])).await
    }

    /// Every outcome of a request, by the tasks' numbers.
    pub async fn outcomes(&self, id: RequestId) -> anyhow::Result<Vec<OutcomeAnswer>> {
        let (mut outcomes, mut after) = (Vec::new(), None);
        loop {
            let page: RequestAnswer = self.page(id, after).await?;
            outcomes.extend(page.outcomes);
            after = page.next_after;
            if after.is_none() {
                return Ok(outcomes);
            }
        }
    }

    async fn page<T: DeserializeOwned>(
        &self,
        id: RequestId,
        after: Option<u32>,
    ) -> anyhow::Result<T> {
        let query = [("limit", Some(OUTCOMES_PAGE)), ("after", after)];
        self.answer(self.call(Method::GET, &format!("v1/requests/{id}")).query(&query)).await
    }

    /// The models that are known.
    pub async fn models(&self) -> anyhow::Result<Vec<ModelAnswer>> {
        #[derive(serde::Deserialize)]
        struct Answer {
            models: Vec<ModelAnswer>,
        }
        let answer: Answer = self.answer(self.call(Method::GET, "v1/models")).await?;
        Ok(answer.models)
    }

    /// The models that are known, as the server writes them.
    pub async fn models_json(&self) -> anyhow::Result<Box<RawValue>> {
        self.answer(self.call(Method::GET, "v1/models")).await
    }

    pub(super) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        self.http.request(method, url)
    }

    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        call: RequestBuilder,
    ) -> anyhow::Result<T> {
        let answer = call.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        let body = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        if !status.is_success() {
            return Err(problem(status, retry_after, &body).into());
        }
        serde_json::from_slice(&body)
            .with_context(|| format!("the answer of {} is not that of a fleet", self.base))
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let base = self.base.as_str().trim_end_matches('/');
        let sentence = match error.is_connect() {
            true => format!("no fleet at {base}: {}", self.advice()),
            false => format!("{base} did not answer"),
        };
        Unreachable { sentence, error: error.without_url() }.into()
    }

    /// What to do where there is no fleet.
    fn advice(&self) -> String {
        let is_default = Url::parse(DEFAULT_URL).is_ok_and(|default| default == self.base);
        let host = match self.base.host_str() {
            Some("localhost") => Some("127.0.0.1"),
            Some(host) if host == "[::1]" || host.starts_with("127.") => Some(host),
            _ => None,
        };
        match (host, self.base.port_or_known_default()) {
            _ if is_default => "start one with `flota up`, or set --url".to_owned(),
            (Some(host), Some(port)) => format!(
                "start one with `flota up --listen {host}:{port}`, or correct the URL (--url or \
                 FLOTA_URL)"
            ),
            _ => "correct the URL (--url or FLOTA_URL), or start a fleet there".to_owned(),
        }
    }
}

impl UploadSource {
    /// Its name for people.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::File(path) => plain(&path.to_string_lossy()).into_owned().into(),
            Self::Memory { name, .. } => plain(name),
        }
    }

    async fn body(&self) -> anyhow::Result<Body> {
        let path = match self {
            Self::Memory { bytes, .. } => return Ok(bytes.clone().into()),
            Self::File(path) => path,
        };
        let unread = || format!("cannot read {}", self.name());
        let file = File::open(path).await.with_context(unread)?;
        if file.metadata().await.with_context(unread)?.is_dir() {
            bail!("{}: is a folder", unread());
        }
        let chunks = stream::try_unfold(file, async |mut file| {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            let is_end = file.read_buf(&mut chunk).await? == 0;
            io::Result::Ok((!is_end).then(|| (Frame::data(chunk.freeze()), file)))
        });
        Ok(Body::wrap(StreamBody::new(chunks)))
    }
}

/// The sentence of a problem (RFC 9457), with its code.
fn problem(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Refusal {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |field: &str| problem.get(field).and_then(Value::as_str);
    let sentence = match (text("detail").or_else(|| text("title")), text("code")) {
        (Some(sentence), Some(code)) => format!("{sentence} ({code})"),
        (Some(sentence), None) => format!("{sentence} (status {status})"),
        (None, _) => format!("the server answered with status {status}"),
    };
    let errors = problem.get("errors").cloned().unwrap_or_default();
    let errors = serde_json::from_value(errors).unwrap_or_default();
    Refusal { status, retry_after, sentence, errors }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        extract::RawQuery,
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
            let error = format!(
                "{:#}",
                client.upload(&UploadSource::File(file.path().into())).await.unwrap_err()
            );
            assert!(error.starts_with("cannot upload "), "{error}");
            assert!(error.ends_with(": the disk is full (STORAGE_FULL)"), "{size}: {error}");
        }
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
        let said: Vec<String> = error.chain().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        let sentence =
            format!("no fleet at http://{address}: start one with `flota up --listen {address}`");
        assert!(said[0].starts_with(&sentence), "{said:?}");
        assert!(said[1].starts_with("Connection refused"), "{said:?}");

        let advice = |url: &str| Client::new(url.parse().unwrap()).advice();
        assert_eq!(advice(DEFAULT_URL), "start one with `flota up`, or set --url");
        let elsewhere = advice("http://flota.example");
        assert!(elsewhere.starts_with("correct the URL"), "{elsewhere}");
    }

    #[tokio::test]
    async fn the_pages_of_a_request_become_one_and_metadata_stays_as_it_was_sent() {
        const METADATA: &str =
            "{ \"b\": 1e999,\n\"a\":10000000000000000000000000000001, \"s\":\"\u{e9}\" }";
        const ID: &str = "req_01a1fc26bc9979c9a01869fe472fb51e";
        let answer = async |RawQuery(query): RawQuery| {
            let is_second = query.is_some_and(|query| query.contains("after=0"));
            let (n, next) = if is_second { (1, "") } else { (0, r#","next_after":0"#) };
            let counts =
                r#"{"total":2,"open":0,"succeeded":0,"failed":2,"expired":0,"canceled":0}"#;
            let outcome = format!(
                r#"{{"n":{n},"image":{{"url":"https://a/b"}},"model":"cat","outcome":"expired"}}"#
            );
            format!(
                r#"{{"status":"failed","id":"{ID}","metadata":{METADATA},"terminal":true,"counts":{counts},"timings":{{"created_at":"2026-11-21T10:00:00Z"}},"outcomes":[{outcome}]{next}}}"#
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/requests/{id}", get(answer));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let (client, id) = (Client::new(url.parse().unwrap()), ID.parse().unwrap());

        let request = serde_json::to_string(&client.request_json(id).await.unwrap()).unwrap();
        let start =
            format!(r#"{{"status":"failed","id":"{ID}","metadata":{METADATA},"terminal":true,"#);
        assert!(request.starts_with(&start), "{request}");
        assert!(request.contains(r#""outcomes":[{"n":0,"#), "{request}");
        assert!(
            request.ends_with(
                r#"},{"n":1,"image":{"url":"https://a/b"},"model":"cat","outcome":"expired"}]}"#
            ),
            "{request}"
        );
        // What people read does not fail by it either.
        assert!(client.request(id, Duration::ZERO).await.unwrap().terminal);
        assert_eq!(client.outcomes(id).await.unwrap().len(), 2);
        serving.abort();
    }
}
