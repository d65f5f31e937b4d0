use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    ModelName, PortError, PortResult, Prediction, PredictionKey, RequestId, Sha256,
    ports::Predictions,
};
use serde_json::Value;

use crate::{
    notifier::SigningSecrets,
    testing::{Behaviour, Fixture, SECRET, roles, until},
};

const HOST: &str = "client.example";

async fn callback(fixture: &Fixture, id: RequestId) -> Value {
    fixture.get(&format!("/v1/requests/{id}")).await.json["callbacks"][0].clone()
}

async fn is_in_state(fixture: &Fixture, id: RequestId, state: &str) -> bool {
    callback(fixture, id).await["state"] == state
}

/// Submits `count` requests of one task each, with callbacks to `host`, and sends their outcomes to
/// the queue.
async fn finish(fixture: &Fixture, count: usize, host: &str) -> Vec<RequestId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(fixture.submit(1, &["cat"], Some(host)).await);
    }
    fixture.work("cat").await;
    ids
}

fn header<'a>(request: &'a flota_core::ports::PostRequest, name: &str) -> &'a str {
    &request.headers.iter().find(|(known, _)| known == name).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn a_finished_request_is_called_back_with_a_signature_over_the_exact_bytes() {
    let fixture = Fixture::new().await;
    fixture.start();
    let id = finish(&fixture, 1, HOST).await[0];
    until(async || is_in_state(&fixture, id, "delivered").await).await;
    let received = fixture.receivers.of(HOST);
    assert_eq!(received.len(), 1);
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["type"], "request.finished");
    assert_eq!(body["data"]["request"], id.to_string());
    assert_eq!(body["data"]["status"], "succeeded");
    assert_eq!(body["data"]["url"], format!("http://127.0.0.1:8080/v1/requests/{id}"));
    assert_eq!(body["data"]["outcomes"][0]["prediction"]["output"]["scores"][0]["score"], 0.75);

    let webhook_id = header(&received[0], "webhook-id");
    assert_eq!(webhook_id, callback(&fixture, id).await["id"]);
    let at = header(&received[0], "webhook-timestamp").parse().unwrap();
    let at = jiff::Timestamp::from_second(at).unwrap();
    let secrets = SigningSecrets::new(&[SECRET.parse().unwrap()]).unwrap();
    let text = std::str::from_utf8(&received[0].body).unwrap();
    assert_eq!(header(&received[0], "webhook-signature"), secrets.sign(webhook_id, at, text));
}

#[tokio::test(start_paused = true)]
async fn tries_follow_the_schedule_with_one_id_until_the_receiver_is_up() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave(HOST, Behaviour::Answers(500, None));
    fixture.start();
    let id = finish(&fixture, 1, HOST).await[0];
    until(async || fixture.receivers.of(HOST).len() == 3).await;
    fixture.receivers.behave(HOST, Behaviour::Answers(204, None));
    until(async || is_in_state(&fixture, id, "delivered").await).await;
    let received = fixture.receivers.of(HOST);
    assert_eq!(received.len(), 4);
    let mut times: Vec<&str> = received.iter().map(|r| header(r, "webhook-timestamp")).collect();
    times.dedup();
    assert_eq!(times.len(), 4, "a timestamp for each attempt");
    for request in &received {
        assert_eq!(header(request, "webhook-id"), header(&received[0], "webhook-id"));
        assert_eq!(request.body, received[0].body);
    }
    let attempts = callback(&fixture, id).await["attempts"].clone();
    let statuses: Vec<u64> =
        attempts.as_array().unwrap().iter().map(|a| a["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 500, 500, 204]);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_ends_in_failure_and_a_redelivery_by_hand_tries_once_more() {
    let fixture = Fixture::with(&[("notifier.schedule_ms", "[1000, 1000]")]).await;
    fixture.receivers.behave(HOST, Behaviour::Forbidden);
    fixture.start();
    let id = finish(&fixture, 1, HOST).await[0];
    until(async || is_in_state(&fixture, id, "failed").await).await;
    assert_eq!(fixture.receivers.of(HOST).len(), 3);
    assert_eq!(callback(&fixture, id).await["attempts"][2]["error"], "not allowed");

    fixture.receivers.behave(HOST, Behaviour::Answers(200, None));
    let answer = fixture.post(&format!("/v1/requests/{id}/callback"), "").await;
    assert_eq!((answer.status.as_u16(), &answer.json["state"]), (202, &"pending".into()));
    until(async || is_in_state(&fixture, id, "delivered").await).await;
    let received = fixture.receivers.of(HOST);
    assert_eq!(header(&received[0], "webhook-id"), header(&received[3], "webhook-id"));
}

#[tokio::test(start_paused = true)]
async fn gone_disables() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave(HOST, Behaviour::Answers(410, None));
    fixture.start();
    let id = finish(&fixture, 1, HOST).await[0];
    until(async || is_in_state(&fixture, id, "disabled").await).await;
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    tokio::task::yield_now().await;
    assert_eq!(fixture.receivers.of(HOST).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_dead_receiver_harms_no_other() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave("dead.example", Behaviour::Hangs);
    finish(&fixture, 200, "dead.example").await;
    let mut alive = Vec::new();
    for i in 0..40 {
        alive.extend(finish(&fixture, 1, &format!("alive-{i}.example")).await);
    }
    fixture.start();
    let begun = tokio::time::Instant::now();
    for id in alive {
        until(async || is_in_state(&fixture, id, "delivered").await).await;
    }
    let deadline = fixture.settings.notifier.timeout;
    assert!(begun.elapsed() < deadline, "the living waited for the dead");
    assert!(fixture.receivers.most_under_way.lock().unwrap()["dead.example"] <= 4);
}

#[tokio::test(start_paused = true)]
async fn deep_backlogs_of_slow_receivers_hold_up_nobody_else() {
    let fixture = Fixture::new().await;
    for i in 0..4 {
        let host = format!("slow-{i}.example");
        fixture.receivers.behave(&host, Behaviour::Hangs);
        finish(&fixture, 300, &host).await;
    }
    let mut alive = Vec::new();
    for i in 0..40 {
        alive.extend(finish(&fixture, 2, &format!("alive-{i}.example")).await);
    }
    fixture.start();
    let begun = tokio::time::Instant::now();
    for id in alive {
        until(async || is_in_state(&fixture, id, "delivered").await).await;
    }
    let timeout = fixture.settings.notifier.timeout;
    assert!(begun.elapsed() < timeout, "the quick waited for the slow");
}

#[tokio::test(start_paused = true)]
async fn slow_receivers_on_the_ports_of_one_host_hold_up_nobody_else() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave("slow.example", Behaviour::Hangs);
    for port in 20_000..20_150 {
        finish(&fixture, 1, &format!("slow.example:{port}")).await;
    }
    let quick = finish(&fixture, 1, HOST).await[0];
    fixture.start();
    let begun = tokio::time::Instant::now();
    until(async || is_in_state(&fixture, quick, "delivered").await).await;
    let timeout = fixture.settings.notifier.timeout;
    assert!(begun.elapsed() < timeout, "it waited for the slow");
    assert!(fixture.receivers.most_under_way.lock().unwrap()["slow.example"] <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_spares_a_dead_receiver_and_charges_nothing_meanwhile() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave(HOST, Behaviour::Answers(502, None));
    let ids = finish(&fixture, 100, HOST).await;
    fixture.start();
    until(async || fixture.receivers.of(HOST).len() >= 5).await;
    tokio::time::advance(Duration::from_secs(50)).await;
    let tried = fixture.receivers.of(HOST).len();
    assert!(tried < 10, "{tried} attempts although the breaker is open");
    fixture.receivers.behave(HOST, Behaviour::Answers(204, None));
    for id in ids {
        until(async || is_in_state(&fixture, id, "delivered").await).await;
        let attempt_count = callback(&fixture, id).await["attempts"].as_array().unwrap().len();
        assert!(attempt_count <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_to_one_receiver_flows_within_its_bound() {
    let fixture = Fixture::new().await;
    let ids = finish(&fixture, 600, HOST).await;
    fixture.start();
    for id in ids {
        until(async || is_in_state(&fixture, id, "delivered").await).await;
    }
    assert_eq!(fixture.receivers.of(HOST).len(), 600);
    assert_eq!(fixture.receivers.most_under_way.lock().unwrap()[HOST], 4);
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_dies_is_replaced_when_its_claim_ends() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave(HOST, Behaviour::HangsForEver);
    let handles = fixture.start();
    let id = finish(&fixture, 1, HOST).await[0];
    until(async || fixture.receivers.of(HOST).len() == 1).await;
    for handle in handles {
        handle.abort();
    }
    fixture.receivers.behave(HOST, Behaviour::Answers(204, None));
    let (_stop, others) = roles(&fixture.platform, &fixture.settings);
    tokio::spawn(others.notifier.run(fixture.stop.clone()));
    until(async || is_in_state(&fixture, id, "delivered").await).await;
    let received = fixture.receivers.of(HOST);
    assert_eq!(header(&received[0], "webhook-id"), header(&received[1], "webhook-id"));
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_what_is_under_way_and_gives_the_rest_back() {
    let fixture = Fixture::new().await;
    fixture.receivers.behave(HOST, Behaviour::Hangs);
    let ids = finish(&fixture, 20, HOST).await;
    let handles = fixture.start();
    until(async || fixture.receivers.of(HOST).len() == 4).await;
    fixture.stop.cancel();
    for handle in handles {
        handle.await.unwrap();
    }
    assert_eq!(fixture.receivers.of(HOST).len(), 4);
    let now = fixture.platform.clock.now();
    let claimed = fixture.platform.callbacks.claim_due(now, now, 100).await.unwrap();
    assert_eq!(claimed.len(), 16, "what was not begun is due at once");
    let mut tried = 0;
    for id in ids {
        tried += callback(&fixture, id).await["attempts"].as_array().unwrap().len();
    }
    assert_eq!(tried, 4);
}

#[tokio::test(start_paused = true)]
async fn a_large_result_is_a_thin_body_with_a_link() {
    let fixture = Fixture::with(&[("notifier.max_body_bytes", "65536")]).await;
    fixture.start();
    let id = fixture.submit(240, &["cat"], Some(HOST)).await;
    fixture.work("cat").await;
    until(async || is_in_state(&fixture, id, "delivered").await).await;
    let received = fixture.receivers.of(HOST);
    assert!(received[0].body.len() < 64 * 1024);
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["data"]["counts"]["succeeded"], 240);
    assert!(body["data"].get("outcomes").is_none());
    assert_eq!(body["data"]["outcomes_omitted"], true);
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_compact_and_240_fit_a_body() {
    let fixture = Fixture::new().await;
    fixture.start();
    let id = fixture.submit(240, &["cat"], Some(HOST)).await;
    fixture.work("cat").await;
    until(async || is_in_state(&fixture, id, "delivered").await).await;
    let received = fixture.receivers.of(HOST);
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    let outcomes = body["data"]["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 240);
    let fields: Vec<_> = outcomes[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["cached", "image", "model", "n", "outcome", "prediction", "sha256", "version"];
    assert_eq!(fields, expected);
    assert!(body["data"].get("outcomes_omitted").is_none());
}

/// A store that fails while it is told to.
struct Away {
    inner: Arc<dyn Predictions>,
    is_away: AtomicBool,
}

#[async_trait]
impl Predictions for Away {
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(PortError::transient("reading predictions", "the store is away"));
        }
        self.inner.get(keys).await
    }

    async fn put(&self, predictions: &[Prediction]) -> PortResult<()> {
        self.inner.put(predictions).await
    }

    async fn of_image(
        &self,
        sha256: Sha256,
        model: Option<&ModelName>,
    ) -> PortResult<Vec<Prediction>> {
        self.inner.of_image(sha256, model).await
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_faults_are_not_charged() {
    let fixture = Fixture::new().await;
    let ids = finish(&fixture, 20, HOST).await;
    let inner = fixture.platform.predictions.clone();
    let away = Arc::new(Away { inner, is_away: AtomicBool::new(true) });
    let mut platform = fixture.platform.clone();
    platform.predictions = away.clone();
    let (_stop, others) = roles(&platform, &fixture.settings);
    tokio::spawn(others.recorder.run(fixture.stop.clone()));
    tokio::spawn(others.notifier.run(fixture.stop.clone()));
    until(async || callback(&fixture, ids[19]).await.is_object()).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    away.is_away.store(false, Ordering::Relaxed);
    for id in ids {
        until(async || is_in_state(&fixture, id, "delivered").await).await;
        assert_eq!(callback(&fixture, id).await["attempts"].as_array().unwrap().len(), 1);
    }
}
