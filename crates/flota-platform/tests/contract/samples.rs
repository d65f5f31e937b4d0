//! Records to keep, with nothing in them that a test does not ask for.

use std::time::Duration;

use flota_core::{
    Callback, CallbackEvent, CallbackId, CallbackTarget, ClientName, Code, DeadLetter,
    DeadLetterState, Ending, Fault, ImageFacts, ImageRef, LabelScore, Manifest, ModelVersion,
    Outcome, Output, PackKey, Prediction, PredictionKey, Priority, QueueName, QueueNames, Reason,
    Request, RequestId, Round, RoundKey, Route, Sha256, Subject, TaskOutcome, TaskSource, Timings,
    ports::{Accept, Finish, NewMessage, Registration, Requests},
};
use jiff::Timestamp;
use uuid::Uuid;

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);

/// It comes back as it is written.
const METADATA: &str = r#"{"order": 12345678901234567890123, "tags" :["a", null, 1.0]}"#;

pub fn tasks_queue(worker: &str) -> QueueName {
    QueueNames::new("flota").tasks(&worker.parse().unwrap(), Priority::Normal)
}

pub fn message(body: &str) -> NewMessage {
    NewMessage::new(body, "default")
}

pub fn messages(bodies: impl IntoIterator<Item = u32>) -> Vec<NewMessage> {
    bodies.into_iter().map(|body| message(&body.to_string())).collect()
}

pub fn request(id: u128, now: Timestamp) -> Request {
    Request {
        id: RequestId(Uuid::from_u128(id)),
        client: ClientName::default(),
        images: (0..30)
            .map(|i| ImageRef { url: format!("https://a/{i}"), id: (i == 7).then(|| "ü".into()) })
            .collect(),
        routes: vec![Route { model: "cat".parse().unwrap(), worker: "cat".parse().unwrap() }],
        callback: Some(CallbackTarget {
            url: "https://receiver/hook".to_owned(),
            events: vec![CallbackEvent::RequestFinished],
        }),
        priority: Priority::Normal,
        metadata: serde_json::from_str(METADATA).unwrap(),
        created_at: now,
    }
}

pub fn accept(request: &Request, due_at: Timestamp) -> Accept {
    Accept { request: request.clone(), due_at, idempotency: None }
}

/// Keeps a request; its first round is due in a minute.
pub async fn accepted(requests: &dyn Requests, id: u128, now: Timestamp) -> RoundKey {
    let request = request(id, now);
    requests.accept(&accept(&request, now + MINUTE)).await.unwrap();
    RoundKey { request: request.id, round: 1 }
}

pub fn pack(round: RoundKey, pack: u32) -> PackKey {
    PackKey { round, pack }
}

pub fn failed(n: u32, message: &str, now: Timestamp) -> TaskOutcome {
    let ending = Ending::failed(Code::DecodeCorrupt, message);
    let timings = Timings { fetch_ms: Some(1.25), batch_size: Some(3), ..Timings::default() };
    TaskOutcome { n, outcome: Outcome { ending, attempts: 2, timings, ended_at: now } }
}

pub fn succeeded(n: u32, now: Timestamp) -> TaskOutcome {
    let ending = Ending::Succeeded { prediction: key("image", "1.0.0"), cached: true };
    let timings = Timings::default();
    TaskOutcome { n, outcome: Outcome { ending, attempts: 1, timings, ended_at: now } }
}

pub fn callback(round: RoundKey, now: Timestamp) -> Callback {
    let id = CallbackId { request: round.request, round: round.round };
    Callback::new(id, "https://receiver/hook".to_owned(), CallbackEvent::RequestFinished, now)
}

pub fn finish(round: RoundKey, now: Timestamp) -> Finish {
    Finish { key: round, at: now, callback: Some(callback(round, now)) }
}

pub fn finished(round: &Round) -> bool {
    round.finished_at.is_some()
}

pub fn key(image: &str, version: &str) -> PredictionKey {
    PredictionKey {
        sha256: Sha256::of(image.as_bytes()),
        model: "cat".parse().unwrap(),
        version: ModelVersion(version.to_owned()),
    }
}

pub fn prediction(key: &PredictionKey, score: f32, now: Timestamp) -> Prediction {
    let score =
        LabelScore { label: "tabby".to_owned(), index: 281, score, flagged: None, advice: None };
    let image = ImageFacts {
        width: 4,
        height: 3,
        format: "png".to_owned(),
        size_bytes: 99,
        flags: Vec::new(),
    };
    let output = Output::Softmax { scores: vec![score] };
    Prediction { key: key.clone(), output, image, computed_at: now }
}

pub fn dead_task(n: u32, reason: Reason, now: Timestamp) -> DeadLetter {
    let task = TaskSource::Request(RequestId(Uuid::from_u128(1))).task(n);
    DeadLetter {
        id: DeadLetter::id_of(task, 1),
        subject: Subject::Task {
            task,
            round: 1,
            model: if n.is_multiple_of(2) { "cat" } else { "dog" }.parse().unwrap(),
            image: "https://a/7".to_owned(),
            client: ClientName::default(),
            priority: Priority::Normal,
        },
        reason,
        message: "the worker's process ended".to_owned(),
        attempts: 5,
        history: vec![Fault::new(now, Code::FetchTimeout, "no answer")],
        created_at: now,
        state: DeadLetterState::Open,
    }
}

pub fn registration(version: &str, digest: &str, now: Timestamp) -> Registration {
    let text = MANIFEST.replace("VERSION", version);
    let manifest = Manifest::parse("model.yaml", &text).unwrap();
    Registration::new(manifest, Sha256::of(digest.as_bytes()), "cat".parse().unwrap(), now)
}

const MANIFEST: &str = r#"name: cat
version: "VERSION"
description: what kind of cat it is
weights:
  url: https://models.example/cat.onnx
  sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
labels: [tabby, tiger]
input:
  name: data
  layout: nchw
  width: 224
  height: 224
  resize:
    mode: shorter_side
    size: 256
  filter: bilinear_antialias
  color: rgb
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
output:
  kind: softmax
  apply: true
  top_k: 2
  thresholds:
    tabby: 0.7
    tiger: {below: 0.1}
limits:
  max_pixels: 1000000
"#;
