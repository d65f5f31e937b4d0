use std::collections::BTreeMap;

use flota_core::Sha256;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::until;

/// The name of the model that journeys run.
pub const MODEL: &str = "mean-color";
/// Outcomes asked for at once.
const PAGE: usize = 200;

/// The HTTP calls of a fleet, as JSON.
#[derive(Clone)]
pub struct Api {
    base: String,
    http: Client,
}

impl Api {
    /// The fleet at `base`.
    pub fn new(base: &str) -> Self {
        let http = Client::builder().no_proxy().build().expect("the options are fixed");
        Self { base: base.to_owned(), http }
    }

    /// Whether it answers.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/healthz", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// How many workers of the usual model are alive.
    pub async fn workers_alive(&self) -> u64 {
        let Ok(answer) = self.http.get(format!("{}/v1/models", self.base)).send().await else {
            return 0;
        };
        let answer: Value = answer.json().await.unwrap_or_default();
        let models = answer["models"].as_array().cloned().unwrap_or_default();
        let ours = models.iter().find(|model| model["name"] == MODEL);
        ours.and_then(|model| model["workers_alive"].as_u64()).unwrap_or(0)
    }

    /// `GET path`: status and body.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.answer(self.http.get(format!("{}{path}", self.base))).await
    }

    /// `POST path` with JSON: status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.answer(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// `POST path` with text and headers as they are: status and body.
    pub async fn post_text(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, Value) {
        let mut call = self.http.post(format!("{}{path}", self.base)).body(body.to_owned());
        call = call.header("content-type", "application/json");
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        self.answer(call).await
    }

    /// Uploads an image: its address.
    pub async fn upload(&self, bytes: Vec<u8>) -> String {
        let call = self.http.post(format!("{}/v1/images", self.base)).body(bytes);
        let (status, answer) = self.answer(call).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["url"].as_str().expect("an upload has an address").to_owned()
    }

    /// Submits images to the usual model, with a callback: the request's id.
    pub async fn submit(&self, images: &[String], callback: &str) -> String {
        let images: Vec<_> = images.iter().map(|url| json!({ "url": url })).collect();
        let body = json!({ "images": images, "models": [MODEL], "callback": { "url": callback } });
        let (status, answer) = self.post("/v1/requests", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        answer["id"].as_str().expect("a request has an id").to_owned()
    }

    /// As [`Api::submit`], again and again under one key until it is accepted.
    pub async fn submit_with_key(&self, images: &[String], callback: &str, key: &str) -> String {
        let images: Vec<_> = images.iter().map(|url| json!({ "url": url })).collect();
        let body = json!({ "images": images, "models": [MODEL], "callback": { "url": callback } });
        until(&format!("the request {key} to be accepted"), || async {
            let call = self.http.post(format!("{}/v1/requests", self.base));
            let answer = call.header("idempotency-key", key).json(&body).send().await.ok()?;
            let is_accepted = answer.status() == StatusCode::ACCEPTED;
            assert!(is_accepted || !answer.status().is_client_error(), "{answer:?}");
            let answer: Value = answer.json().await.ok()?;
            is_accepted.then(|| answer["id"].as_str().expect("a request has an id").to_owned())
        })
        .await
    }

    /// What the usual model says of an image's content, if anybody can tell.
    pub async fn prediction(&self, image: &[u8]) -> Option<Value> {
        let sha256 = Sha256::of(image);
        let path = format!("/v1/predictions?image={sha256}&model={MODEL}");
        self.try_get(&path).await?["predictions"].as_array()?.first().cloned()
    }

    /// Waits until the usual model has said something of each of these images.
    pub async fn predicted(&self, images: &[Vec<u8>]) {
        for (n, image) in images.iter().enumerate() {
            until(&format!("the prediction of image {n}"), || self.prediction(image)).await;
        }
    }

    /// Where a request stands, with its first outcomes.
    pub async fn request(&self, id: &str) -> Value {
        let (status, answer) = self.get(&format!("/v1/requests/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// Waits until a request is finished; where it stands then.
    pub async fn finished(&self, id: &str) -> Value {
        until(&format!("{id} to finish"), || async {
            let request = self.try_get(&format!("/v1/requests/{id}?wait=5")).await?;
            (request["terminal"] == true).then_some(request)
        })
        .await
    }

    /// How many tasks of a request have ended.
    pub async fn ended_count(&self, id: &str) -> Option<u64> {
        let request = self.try_get(&format!("/v1/requests/{id}")).await?;
        let count = |field: &str| request["counts"][field].as_u64();
        Some(count("total")? - count("open")?)
    }

    /// Every outcome of a request by the number of its task.
    ///
    /// # Panics
    /// If a task has two.
    pub async fn outcomes(&self, id: &str) -> BTreeMap<u64, Value> {
        let mut outcomes = BTreeMap::new();
        let mut path = format!("/v1/requests/{id}?limit={PAGE}");
        let mut last = 0;
        loop {
            let (status, page) = self.get(&path).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            for outcome in page["outcomes"].as_array().expect("a page has outcomes") {
                let n = outcome["n"].as_u64().expect("an outcome is of a task");
                assert!(outcomes.insert(n, outcome.clone()).is_none(), "task {n} ended twice");
            }
            match page["next_after"].as_u64() {
                Some(after) => {
                    assert!(after > last, "page after {last} ends at {after}");
                    last = after;
                    path = format!("/v1/requests/{id}?limit={PAGE}&after={after}");
                }
                None => return outcomes,
            }
        }
    }

    /// The body of `GET path`; `None` while nobody answers, as when a server was just killed.
    pub async fn try_get(&self, path: &str) -> Option<Value> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    async fn answer(&self, call: RequestBuilder) -> (StatusCode, Value) {
        let answer = call.send().await.expect("the server answers");
        let status = answer.status();
        let body = answer.text().await.expect("the server finishes its answer");
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }
}
