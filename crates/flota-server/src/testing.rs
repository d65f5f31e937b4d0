//! An in-memory server for this crate's tests. Its clock follows tokio's paused time.

mod counting_queue;
mod counting_requests;

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request as HttpRequest, StatusCode},
};
use flota_core::{
    Alias, Code, Ending, ImageFacts, LabelScore, Manifest, ModelName, ObjectIdentity, Outcome,
    OutcomesMessage, Output, Prediction, PredictionKey, QueueName, RequestId, Sha256, TaskOutcome,
    TasksMessage, Timings, WorkerName,
    ports::{
        Delivery, NewMessage, PostAnswer, PostError, PostRequest, Poster, Registration,
        UPLOADED_PREFIX,
    },
};
use flota_memory::SeededClock;
use flota_platform::{Platform, settings::Settings, telemetry::Metrics};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) use self::{counting_queue::CountingQueue, counting_requests::CountingRequests};

use crate::{metrics::METRICS, notifier::SigningSecrets, roles::Roles};

/// The secret of the published test vectors.
pub(crate) const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// Longest wait for a condition, in steps of [`STEP`] of paused time.
const MAX_STEPS: usize = 20_000;
const STEP: Duration = Duration::from_millis(100);
/// More messages than any test sends to one queue.
const MAX_MESSAGES: usize = 10_000;
/// When tasks that crash their worker fail: a day before the clock starts, and too recent for
/// deletion.
const DEAD_SINCE: &str = "2025-12-31T00:00:00Z";

/// A server whose roles do not run yet.
pub(crate) struct Fixture {
    pub(crate) platform: Platform,
    pub(crate) settings: Settings,
    pub(crate) receivers: Arc<Receivers>,
    pub(crate) router: Router,
    pub(crate) stop: CancellationToken,
    pub(crate) roles: Mutex<Option<Roles>>,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn of(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let json = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Self { status: parts.status, headers: parts.headers, json }
    }
}

/// How a receiver behaves.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Answers with this status, and with `Retry-After` if given.
    Answers(u16, Option<String>),
    /// Does not answer before the deadline.
    Hangs,
    /// Never answers, and ignores the deadline.
    HangsForEver,
    /// Its address is blocked.
    Forbidden,
}

/// Receivers by host, and the requests that they received.
#[derive(Default)]
pub(crate) struct Receivers {
    behaviour: Mutex<HashMap<String, Behaviour>>,
    pub(crate) received: Mutex<Vec<PostRequest>>,
    under_way: Mutex<HashMap<String, usize>>,
    pub(crate) most_under_way: Mutex<HashMap<String, usize>>,
}

impl Receivers {
    pub(crate) fn behave(&self, host: &str, behaviour: Behaviour) {
        self.behaviour.lock().unwrap().insert(host.to_owned(), behaviour);
    }

    /// The requests that `host` received.
    pub(crate) fn of(&self, host: &str) -> Vec<PostRequest> {
        let received = self.received.lock().unwrap();
        received.iter().filter(|request| host_of(request) == host).cloned().collect()
    }
}

fn host_of(request: &PostRequest) -> String {
    url::Url::parse(&request.url).unwrap().host_str().unwrap().to_owned()
}

#[async_trait]
impl Poster for Receivers {
    async fn post(&self, request: PostRequest) -> Result<PostAnswer, PostError> {
        let host = host_of(&request);
        let behaviour = self.behaviour.lock().unwrap().get(&host).cloned();
        let deadline = request.deadline;
        self.received.lock().unwrap().push(request);
        let now = {
            let mut under_way = self.under_way.lock().unwrap();
            let count = under_way.entry(host.clone()).or_default();
            *count += 1;
            *count
        };
        let most = |count: &mut usize| *count = now.max(*count);
        self.most_under_way.lock().unwrap().entry(host.clone()).and_modify(most).or_insert(now);
        tokio::task::yield_now().await;
        let answer = match behaviour.unwrap_or(Behaviour::Answers(204, None)) {
            Behaviour::Answers(status, retry_after) => Ok(PostAnswer { status, retry_after }),
            Behaviour::Hangs => {
                tokio::time::timeout(deadline, pending::<()>()).await.unwrap_err();
                Err(PostError::Timeout(deadline))
            }
            Behaviour::HangsForEver => pending().await,
            Behaviour::Forbidden => Err(PostError::ForbiddenAddress("not allowed".to_owned())),
        };
        *self.under_way.lock().unwrap().get_mut(&host).unwrap() -= 1;
        answer
    }
}

impl Fixture {
    /// A server with the models `cat` and `dog`. Each has a worker of its own.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Like [`Fixture::new`], with these settings.
    pub(crate) async fn with(overrides: &[(&str, &str)]) -> Self {
        Self::on(overrides, |_| ()).await
    }

    /// Like [`Fixture::with`], on a platform that `change` modifies first.
    pub(crate) async fn on(overrides: &[(&str, &str)], change: impl FnOnce(&mut Platform)) -> Self {
        let overrides: Vec<(String, String)> =
            overrides.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let settings = Settings::from_sources(None, [], &overrides).unwrap();
        let clock = Arc::new(SeededClock::new(1));
        let store = flota_memory::open(clock.clone());
        let mut platform = Platform::over(store, &settings, clock).unwrap();
        let receivers = Arc::new(Receivers::default());
        platform.poster = receivers.clone();
        change(&mut platform);
        for model in ["cat", "dog"] {
            register(&platform, model, "1", model).await;
        }
        let (stop, roles) = roles(&platform, &settings);
        let router = roles.router.clone();
        Self { platform, settings, receivers, router, stop, roles: Mutex::new(Some(roles)) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, &[], body.to_owned()).await
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = HttpRequest::builder().method(method).uri(path);
        const USUAL: [(&str, &str); 2] =
            [("host", "127.0.0.1:8080"), ("content-type", "application/json")];
        let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
        let usual = USUAL.iter().filter(|(name, _)| !is_given(name));
        for (name, value) in usual.chain(headers) {
            // An empty value removes one of the usual headers.
            let is_left_out = value.is_empty() && USUAL.iter().any(|(usual, _)| usual == name);
            if !is_left_out {
                request = request.header(*name, *value);
            }
        }
        let request = request.body(body.into()).unwrap();
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// Returns the answer of a call as text.
    pub(crate) async fn call_raw(&self, method: &str, path: &str, body: String) -> String {
        let request = HttpRequest::builder().method(method).uri(path);
        let request = request.header("host", "127.0.0.1:8080");
        let request =
            request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Submits `image_count` images for `models`, with a callback to `host` if given.
    pub(crate) async fn submit(
        &self,
        image_count: usize,
        models: &[&str],
        host: Option<&str>,
    ) -> RequestId {
        let images: Vec<Value> = (0..image_count)
            .map(|i| serde_json::json!({"url": format!("https://images.example/{i}.jpg")}))
            .collect();
        let mut body = serde_json::json!({"images": images, "models": models});
        if let Some(host) = host {
            body["callback"] = serde_json::json!({"url": format!("https://{host}/hook")});
        }
        let answer = self.post("/v1/requests", &body.to_string()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
        answer.json["id"].as_str().unwrap().parse().unwrap()
    }

    /// Receives and acknowledges all messages on the queue of `model`.
    pub(crate) async fn take_tasks(&self, model: &str) -> Vec<TasksMessage> {
        let queue = self.tasks_queue(model);
        let mut messages = Vec::new();
        loop {
            let received = self.receive(&queue).await;
            if received.is_empty() {
                return messages;
            }
            let receipts: Vec<_> = received.iter().map(|d| d.receipt.clone()).collect();
            self.platform.queue.ack(&queue, &receipts).await.unwrap();
            messages.extend(received.iter().map(|d| TasksMessage::decode(&d.body).unwrap()));
            assert!(messages.len() <= MAX_MESSAGES, "acknowledged messages come again");
        }
    }

    /// Sends a body to the outcomes queue.
    pub(crate) async fn send_outcomes(&self, body: String) {
        self.send(&self.settings.queue_names().outcomes(), body).await;
    }

    /// Sends a body to a queue.
    pub(crate) async fn send(&self, queue: &QueueName, body: String) {
        let message = NewMessage::new(body, "default");
        let sent = self.platform.queue.send(queue, &[message]).await.unwrap();
        assert!(sent.iter().all(Result::is_ok));
    }

    /// Acts as the worker of `model`: all of its tasks succeed.
    pub(crate) async fn work(&self, model: &str) {
        for message in self.take_tasks(model).await {
            self.send_outcomes(succeeded(&message).encode().unwrap()).await;
        }
    }

    /// Runs all roles until the fixture is stopped.
    pub(crate) fn start(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let roles = self.roles.lock().unwrap().take().expect("started once");
        let stop = || self.stop.clone();
        let ingest = roles.ingest.map(|role| tokio::spawn(role.run(stop())));
        let mut running = vec![
            tokio::spawn(roles.recorder.run(stop())),
            tokio::spawn(roles.sweeper.run(stop())),
            tokio::spawn(roles.notifier.run(stop())),
            tokio::spawn(roles.replayer.run(stop())),
            tokio::spawn(roles.dlq_drain.run(stop())),
            tokio::spawn(roles.rerouting.run(stop())),
            tokio::spawn(roles.retainer.run(stop())),
        ];
        running.extend(ingest);
        running
    }

    pub(crate) fn tasks_queue(&self, model: &str) -> QueueName {
        let worker: WorkerName = model.parse().unwrap();
        self.settings.queue_names().tasks(&worker, flota_core::Priority::Normal)
    }

    async fn receive(&self, queue: &QueueName) -> Vec<Delivery> {
        let lease = Duration::from_secs(60);
        self.platform.queue.receive(queue, 10, Duration::ZERO, lease).await.unwrap()
    }
}

/// The roles of another process on the same platform.
pub(crate) fn roles(platform: &Platform, settings: &Settings) -> (CancellationToken, Roles) {
    let stop = CancellationToken::new();
    let secrets = SigningSecrets::new(&[SECRET.parse().unwrap()]).unwrap();
    let metrics = Metrics::install().unwrap().with(METRICS);
    let address = "127.0.0.1:8080".parse().unwrap();
    let (platform, settings) = (platform.clone(), settings.clone());
    (stop.clone(), Roles::new(platform, settings, address, secrets, metrics, stop))
}

/// Advances paused time until `is_met` returns true.
pub(crate) async fn until(mut is_met: impl AsyncFnMut() -> bool) {
    for _ in 0..MAX_STEPS {
        if is_met().await {
            return;
        }
        tokio::time::advance(STEP).await;
    }
    panic!("what was waited for did not come about");
}

/// Registers a version of a model, served by `worker`, as the current one.
pub(crate) async fn register(platform: &Platform, model: &str, version: &str, worker: &str) {
    let manifest = format!(
        r#"
name: {model}
version: "{version}"
weights: {{file: model.onnx, sha256: "{zeros}"}}
labels: [yes, no]
input: {{name: data, layout: nchw, width: 8, height: 8, resize: {{mode: exact}}, color: rgb}}
output: {{kind: softmax}}
"#,
        zeros = "0".repeat(64),
    );
    let manifest = Manifest::parse("model.yaml", &manifest).unwrap();
    let worker: WorkerName = worker.parse().unwrap();
    let at = platform.clock.now();
    let registration = Registration::new(manifest, Sha256::of(b""), worker, at);
    platform.models.register(&registration).await.unwrap();
}

/// The SHA-256 of a task's image.
pub(crate) fn sha_of(image: &str) -> Sha256 {
    let uploaded = image.strip_prefix(UPLOADED_PREFIX).map(|digest| digest.parse().unwrap());
    uploaded.unwrap_or_else(|| Sha256::of(image.as_bytes()))
}

/// The message of a worker for which all tasks of `message` succeeded.
pub(crate) fn succeeded(message: &TasksMessage) -> OutcomesMessage {
    let key = |image: &str, model: &ModelName| PredictionKey {
        sha256: sha_of(image),
        model: model.clone(),
        version: flota_core::ModelVersion("1".to_owned()),
    };
    let outcome = |task: &flota_core::TaskMessage| TaskOutcome {
        n: task.n,
        outcome: outcome(Ending::Succeeded {
            prediction: key(&task.image, &task.model),
            cached: false,
        }),
    };
    let prediction = |task: &flota_core::TaskMessage| Prediction {
        key: key(&task.image, &task.model),
        output: Output::Softmax {
            scores: vec![LabelScore {
                label: "yes".into(),
                index: 0,
                score: 0.75,
                flagged: None,
                advice: None,
            }],
        },
        image: ImageFacts {
            width: 8,
            height: 8,
            format: "jpeg".to_owned(),
            size_bytes: 100,
            flags: Vec::new(),
        },
        computed_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let alias = |task: &flota_core::TaskMessage| {
        let object = task.image.parse::<ObjectIdentity>().ok()?;
        Some(Alias { object, sha256: sha_of(&task.image) })
    };
    OutcomesMessage {
        source: message.source,
        round: message.round,
        pack: message.pack,
        outcomes: message.tasks.iter().map(outcome).collect(),
        predictions: message.tasks.iter().map(prediction).collect(),
        aliases: message.tasks.iter().filter_map(alias).collect(),
        dead_letters: Vec::new(),
    }
}

/// The message of a worker for which all tasks of `message` ran out of attempts by crashing it.
pub(crate) fn crashed(message: &TasksMessage) -> OutcomesMessage {
    let letter = |task: &flota_core::TaskMessage| flota_core::DeadLetter {
        id: flota_core::DeadLetter::id_of(message.source.task(task.n), message.round),
        subject: flota_core::Subject::Task {
            task: message.source.task(task.n),
            round: message.round,
            model: task.model.clone(),
            image: task.image.clone(),
            client: message.client.clone(),
            priority: message.priority,
        },
        reason: flota_core::Reason::WorkerCrashed,
        message: "the worker's process ended".to_owned(),
        attempts: 3,
        history: vec![flota_core::Fault::new(
            jiff::Timestamp::UNIX_EPOCH,
            Code::FetchTimeout,
            "no answer",
        )],
        created_at: DEAD_SINCE.parse().unwrap(),
        state: flota_core::DeadLetterState::Open,
    };
    OutcomesMessage {
        dead_letters: message.tasks.iter().map(letter).collect(),
        ..failed(message, Code::WorkerCrashed)
    }
}

/// The message of a worker for which all tasks of `message` failed with `code`.
pub(crate) fn failed(message: &TasksMessage, code: Code) -> OutcomesMessage {
    let outcome = |task: &flota_core::TaskMessage| TaskOutcome {
        n: task.n,
        outcome: outcome(Ending::failed(code, "it did not work")),
    };
    OutcomesMessage {
        predictions: Vec::new(),
        outcomes: message.tasks.iter().map(outcome).collect(),
        ..succeeded(message)
    }
}

fn outcome(ending: Ending) -> Outcome {
    let timings = Timings { infer_ms: Some(1.7), ..Timings::default() };
    Outcome { ending, attempts: 1, timings, ended_at: jiff::Timestamp::UNIX_EPOCH }
}
