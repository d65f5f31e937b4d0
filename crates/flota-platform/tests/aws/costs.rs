use flota_core::{
    Alias, CallbackAttempt, CallbackState, ClientName, Counts, ImageFacts, ImageRef, LabelScore,
    ModelVersion, Output, Prediction, PredictionKey, Request, RequestId, RoundKey, Route, Sha256,
    TaskOutcome, Timings,
    ports::{Accept, Finish, IdempotencyKey},
};
use jiff::Timestamp;
use metrics::set_default_local_recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use uuid::Uuid;

use crate::{
    account::Account,
    samples::{MINUTE, accept, callback, pack, request, succeeded},
};

const TWENTY: u32 = 20;

/// Write units so far.
fn units(rendered: &PrometheusHandle) -> u64 {
    let text = rendered.render();
    let name = "flota_aws_dynamodb_units_total{kind=\"write\"} ";
    let count = text.lines().find_map(|line| line.strip_prefix(name));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Twenty objects with versions, whose addresses share what those of a bucket share.
fn twenty_objects(now: Timestamp) -> Request {
    let address = |n: u32| {
        let random = Sha256::of(&n.to_le_bytes()).to_string();
        let (name, version) = random.split_at(32);
        format!("s3://acme-listing-photos/2026/11/21/{name}.jpg?versionId={version}")
    };
    let images = (0..TWENTY).map(|n| ImageRef { url: address(n), id: None }).collect();
    let name = "image-category";
    let routes = vec![Route { model: name.parse().unwrap(), worker: name.parse().unwrap() }];
    Request { images, routes, callback: None, metadata: None, ..request(1, now) }
}

fn prediction(n: u32, now: Timestamp) -> Prediction {
    let label = |index| LabelScore {
        label: format!("furniture and garden {index}"),
        index,
        score: 0.123_456_78,
        flagged: Some(false),
        advice: None,
    };
    let key = PredictionKey {
        sha256: Sha256::of(&n.to_le_bytes()),
        model: "image-category".parse().unwrap(),
        version: ModelVersion("1.0.0".to_owned()),
    };
    let image = ImageFacts {
        width: 4_032,
        height: 3_024,
        format: "jpeg".to_owned(),
        size_bytes: 3_456_789,
        flags: Vec::new(),
    };
    let output = Output::Softmax { scores: (0..5).map(label).collect() };
    Prediction { key, output, image, computed_at: now }
}

fn outcomes(now: Timestamp) -> Vec<TaskOutcome> {
    let timings = Timings {
        queued_ms: Some(1_234.567),
        fetch_ms: Some(45.678),
        decode_ms: Some(12.345),
        infer_ms: Some(87.654),
        batch_size: Some(8),
    };
    let outcome = |n| {
        let mut outcome = succeeded(n, now);
        outcome.outcome.timings = timings.clone();
        outcome
    };
    (0..TWENTY).map(outcome).collect()
}

// One thread, as the recorder is that thread's.
#[tokio::test]
async fn twenty_tasks_take_fifty_write_units() {
    let account = Account::new(&[("aws.create_missing", "true")]).await;
    let store = account.open().await;
    let now: Timestamp = "2026-11-21T10:20:30.123456789Z".parse().unwrap();
    let request = twenty_objects(now);
    let key = RoundKey { request: request.id, round: 1 };
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _recording = set_default_local_recorder(&recorder);
    let mut before = 0;
    let mut took = || {
        let now = units(&rendered);
        now - std::mem::replace(&mut before, now)
    };

    let requests = &store.requests;
    requests.accept(&accept(&request, now + MINUTE)).await.unwrap();
    assert_eq!(took(), 4, "the document in two kilobytes, the round, and its place in the index");
    requests.set_due(key, now + 5 * MINUTE).await.unwrap();
    assert_eq!(took(), 1, "the round is due later");
    let predictions: Vec<_> = (0..TWENTY).map(|n| prediction(n, now)).collect();
    store.predictions.put(&predictions).await.unwrap();
    assert_eq!(took(), 20, "predictions");
    let aliases = request.images.iter().zip(&predictions).map(|(image, prediction)| Alias {
        object: image.url.parse().unwrap(),
        sha256: prediction.key.sha256,
    });
    store.aliases.put(&aliases.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(took(), 20, "aliases");
    requests.record(pack(key, 0), &outcomes(now)).await.unwrap();
    assert_eq!(took(), 2, "the pack");
    let ended = Counts { total: TWENTY, succeeded: TWENTY, ..Counts::default() };
    requests.complete_pack(pack(key, 0), ended).await.unwrap();
    assert_eq!(took(), 1, "the round's complete packs");
    requests.finish(&Finish { key, at: now, callback: None }).await.unwrap();
    assert_eq!(took(), 2, "the round, which leaves the index");

    let id = RequestId(Uuid::from_u128(2));
    let other = Request { id, ..request };
    let by_key = IdempotencyKey {
        client: ClientName::default(),
        key: "order-7".to_owned(),
        fingerprint: Sha256::of(b"body"),
    };
    let accept = Accept { idempotency: Some(by_key), ..accept(&other, now + MINUTE) };
    requests.accept(&accept).await.unwrap();
    assert_eq!(took(), 7, "a transaction of the round and the key");
    let key = RoundKey { request: id, round: 1 };
    let callback = callback(key, now);
    let id = callback.id;
    requests.finish(&Finish { key, at: now, callback: Some(callback) }).await.unwrap();
    assert_eq!(took(), 3, "the round moves in the index");
    let claim = now + MINUTE;
    assert_eq!(store.callbacks.claim_due(now, claim, 9).await.unwrap().len(), 1);
    assert_eq!(took(), 3, "the callback moves in the index");
    let attempt = CallbackAttempt { at: now, status: Some(204), error: None, duration_ms: 12 };
    let delivered = (CallbackState::Delivered, None);
    store.callbacks.attempted(id, claim, &attempt, delivered).await.unwrap();
    assert_eq!(took(), 2, "the callback leaves the index");
    assert_eq!(store.callbacks.claim_due(claim, claim, 9).await.unwrap(), []);
    assert_eq!(took(), 0, "nothing is due, and nothing is written");
}
