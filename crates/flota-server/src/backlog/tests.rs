use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flota_core::{
    ModelVersion,
    ports::{Throughput, WorkerHeartbeat},
};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::testing::{CountingQueue, Fixture, register};

const SECOND: Duration = Duration::from_secs(1);

async fn backlog(fixture: &Fixture, model: &str) -> Value {
    let models = fixture.get("/v1/models").await.json["models"].take();
    let of = models.as_array().unwrap().iter().find(|known| known["name"] == model);
    of.unwrap()["backlog"].clone()
}

/// A worker of `cat` that received `messages` of 20 tasks in the last minute, and finished half of
/// them.
async fn heartbeat(fixture: &Fixture, messages: u64) {
    let (cat, clock) = ("cat".parse().unwrap(), &fixture.platform.clock);
    let counts = |count| BTreeMap::from([(flota_core::ModelName::clone(&cat), count)]);
    let line = WorkerHeartbeat {
        instance: "one".to_owned(),
        worker: "cat".parse().unwrap(),
        models: vec![(cat.clone(), ModelVersion("1".to_owned()))],
        until: clock.now() + 100 * SECOND,
        drained_to: Some(clock.now() - 90 * SECOND),
        throughput: Throughput {
            window_ms: 60_000,
            busy_ms: 30_000,
            messages,
            received: counts(messages * 20),
            ended: counts(messages * 10),
        },
    };
    fixture.platform.models.alive(&line).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_in_tasks_before_any_worker_runs_and_former_queues_count() {
    let fixture = Fixture::new().await;
    fixture.submit(25, &["cat", "dog"], None).await;
    advance(7 * SECOND).await;
    let cat = backlog(&fixture, "cat").await;
    assert_eq!(cat["tasks"], 25);
    assert_eq!(cat["oldest_age_seconds"], 7.0);
    assert_eq!(cat["service_per_second"], 0.0);
    assert_eq!((&cat["arrival_per_second"], &cat["drain_seconds"]), (&json!(null), &json!(null)));

    register(&fixture.platform, "cat", "1", "photo").await;
    advance(SECOND).await;
    fixture.submit(4, &["cat"], None).await;
    advance(SECOND).await;
    let cat = backlog(&fixture, "cat").await;
    assert_eq!((&cat["tasks"], &cat["oldest_age_seconds"]), (&json!(29), &json!(9.0)));

    let metrics = fixture.call("GET", "/metrics", &[], "").await.json;
    let text = metrics.as_str().unwrap_or_default();
    for line in [
        "flota_backlog_tasks{model=\"cat\",worker=\"photo\"} 29",
        "flota_backlog_tasks{model=\"dog\",worker=\"dog\"} 25",
        "flota_backlog_oldest_age_seconds{model=\"dog\",worker=\"dog\"} 9",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }

    fixture.work("dog").await;
    assert_eq!(backlog(&fixture, "dog").await["tasks"], 0);
}

#[tokio::test(start_paused = true)]
async fn rates_are_those_of_the_last_minute() {
    let fixture = Fixture::new().await;
    fixture.submit(100, &["cat"], None).await;
    heartbeat(&fixture, 60).await;
    let first = backlog(&fixture, "cat").await;
    assert_eq!(first["service_per_second"], 20.0, "it was idle for half of the time");
    assert_eq!(first["drain_seconds"], 5.0);
    assert_eq!(first["arrival_per_second"], json!(null), "nothing to compare with");

    // Arrivals are the growth of the backlog, and the tasks that were finished meanwhile.
    advance(30 * SECOND).await;
    fixture.submit(150, &["cat"], None).await;
    advance(30 * SECOND).await;
    let second = backlog(&fixture, "cat").await;
    assert_eq!(second["tasks"], 250);
    assert_eq!(second["arrival_per_second"], 12.5, "10 were ended and 2.5 more wait");
    advance(120 * SECOND).await;
    assert_eq!(backlog(&fixture, "cat").await["service_per_second"], 0.0, "the worker is gone");
}

#[tokio::test(start_paused = true)]
async fn where_queues_count_messages_tasks_are_estimated_and_one_missing_queue_is_said() {
    let mut queue = None;
    let fixture = Fixture::on(&[], |platform| queue = Some(CountingQueue::over(platform))).await;
    let queue: Arc<CountingQueue> = queue.unwrap();
    fixture.submit(400, &["cat"], None).await;
    assert_eq!(backlog(&fixture, "cat").await["tasks"], 20, "a task in each message at least");
    heartbeat(&fixture, 60).await;
    let cat = backlog(&fixture, "cat").await;
    assert_eq!((&cat["tasks"], &cat["oldest_age_seconds"]), (&json!(400), &json!(90.0)));

    queue.removed.lock().unwrap().insert(fixture.tasks_queue("dog"));
    let answer = fixture.get("/v1/models").await;
    assert_eq!(answer.status, 200);
    let models = answer.json["models"].as_array().unwrap();
    let of = |name: &str| models.iter().find(|known| known["name"] == name).unwrap();
    assert_eq!((&of("dog")["queue"], &of("dog")["backlog"]), (&json!(null), &json!(null)));
    assert_eq!(of("cat")["backlog"]["tasks"], 400);
}
