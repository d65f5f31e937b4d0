use flota_core::RequestId;
use serde_json::{Value, json};

use crate::testing::{Fixture, crashed, until};

/// A request of two images, the second of which crashed `cat`; both dogs succeeded.
async fn with_a_dead_letter(fixture: &Fixture) -> (RequestId, String) {
    let id = fixture.submit(2, &["cat", "dog"], Some("client.example")).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    let mut good = tasks.clone();
    good.tasks.truncate(1);
    let mut bad = tasks;
    bad.tasks.remove(0);
    fixture.work("dog").await;
    fixture.send_outcomes(crate::testing::succeeded(&good).encode().unwrap()).await;
    fixture.send_outcomes(crashed(&bad).encode().unwrap()).await;
    finished(fixture, id).await;
    let letter = flota_core::DeadLetter::task_id(id, 2, 1);
    (id, letter)
}

async fn finished(fixture: &Fixture, id: RequestId) {
    until(async || show(fixture, id, "").await["terminal"] == true).await;
}

async fn show(fixture: &Fixture, id: RequestId, query: &str) -> Value {
    fixture.get(&format!("/v1/requests/{id}{query}")).await.json
}

#[tokio::test(start_paused = true)]
async fn a_replay_runs_the_task_in_a_new_round_and_keeps_the_first_outcome_readable() {
    let fixture = Fixture::new().await;
    fixture.start();
    let (id, letter) = with_a_dead_letter(&fixture).await;
    assert_eq!(show(&fixture, id, "").await["status"], "partially_failed");
    let list = fixture.get("/v1/dead-letters?model=cat&reason=WORKER_CRASHED").await.json;
    assert_eq!(list["dead_letters"][0]["id"], letter);
    assert_eq!(list["dead_letters"][0]["subject"], "task");
    assert_eq!(list["dead_letters"][0]["request"], id.to_string());
    assert_eq!(list["dead_letters"][0]["state"], "open");
    let shown = fixture.get(&format!("/v1/dead-letters/{letter}")).await.json;
    let fault =
        json!({ "at": "1970-01-01T00:00:00Z", "code": "FETCH_TIMEOUT", "message": "no answer" });
    assert_eq!(shown["history"], json!([fault]));

    let answer = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), "").await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
    assert_eq!(answer.json["state"], "replayed");
    assert_eq!(answer.json["replay_round"], 2);
    let view = show(&fixture, id, "").await;
    assert_eq!((&view["status"], &view["counts"]["open"]), (&json!("processing"), &json!(1)));
    let again = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), "").await;
    assert_eq!(again.json["code"], "DEAD_LETTER_DECIDED");

    let tasks = fixture.take_tasks("cat").await;
    assert_eq!((tasks.len(), tasks[0].round, tasks[0].tasks.len()), (1, 2, 1));
    assert_eq!(tasks[0].tasks[0].n, 2);
    fixture.send_outcomes(crate::testing::succeeded(&tasks[0]).encode().unwrap()).await;
    finished(&fixture, id).await;
    let view = show(&fixture, id, "").await;
    assert_eq!(view["status"], "succeeded");
    assert_eq!(view["outcomes"][2]["round"], 2);
    assert_eq!(view["rounds"][1]["counts"]["total"], 1);
    let first = show(&fixture, id, "?round=1").await;
    assert_eq!(first["outcomes"][2]["code"], "WORKER_CRASHED");
    until(async || fixture.receivers.of("client.example").len() == 2).await;
    let bodies: Vec<Value> = fixture
        .receivers
        .of("client.example")
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    assert_eq!(bodies[0]["data"]["status"], "partially_failed");
    assert_eq!(bodies[1]["data"]["status"], "succeeded");
    assert_eq!(fixture.get("/v1/dead-letters").await.json["dead_letters"], json!([]));
    let all = fixture.get("/v1/dead-letters?decided=true").await.json;
    assert_eq!(all["dead_letters"][0]["id"], letter);
}

#[tokio::test(start_paused = true)]
async fn many_are_replayed_in_one_round_per_request() {
    let fixture = Fixture::new().await;
    fixture.start();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = fixture.submit(2, &["cat"], None).await;
        let tasks = fixture.take_tasks("cat").await.remove(0);
        fixture.send_outcomes(crashed(&tasks).encode().unwrap()).await;
        finished(&fixture, id).await;
        ids.push(id);
    }
    fixture.send_outcomes("nobody can read this".to_owned()).await;
    until(async || {
        let list = fixture.get("/v1/dead-letters").await.json;
        list["dead_letters"].as_array().unwrap().len() == 7
    })
    .await;
    let dry = fixture.post("/v1/dead-letters/replay", r#"{"model": "cat", "dry_run": true}"#).await;
    assert_eq!(dry.json["replayed"].as_array().unwrap().len(), 6);
    let dry = fixture.post("/v1/dead-letters/replay", r#"{"dry_run": true}"#).await;
    assert_eq!(dry.json["replayed"].as_array().unwrap().len(), 6);
    assert_eq!(dry.json["skipped"][0]["code"], "NOT_REPLAYABLE");
    assert!(fixture.take_tasks("cat").await.is_empty());

    let answer = fixture.post("/v1/dead-letters/replay", "").await;
    assert_eq!(answer.json["replayed"].as_array().unwrap().len(), 6, "{}", answer.json);
    assert_eq!(answer.json["skipped"][0]["code"], "NOT_REPLAYABLE");
    assert_eq!(fixture.take_tasks("cat").await.len(), 3);
    for id in ids {
        let view = show(&fixture, id, "").await;
        assert_eq!(view["rounds"].as_array().unwrap().len(), 2);
        assert_eq!(view["status"], "queued");
    }
    let unknown = fixture.post("/v1/dead-letters/replay", r#"{"modell": "cat"}"#).await;
    assert_eq!(unknown.json["errors"][0]["field"], "modell");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_died_before_it_was_noted_is_not_made_twice() {
    let fixture = Fixture::new().await;
    fixture.start();
    let (id, letter) = with_a_dead_letter(&fixture).await;
    let round = flota_core::RoundKey { request: id, round: 2 };
    let (tasks, now) = ([2].into(), fixture.platform.clock.now());
    assert!(fixture.platform.requests.open_round(round, &tasks, now, now).await.unwrap());
    let answer = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), "").await;
    assert_eq!(answer.json["replay_round"], 2, "{}", answer.json);
    assert_eq!(show(&fixture, id, "").await["rounds"].as_array().unwrap().len(), 2);
    // The sweeper sends what the dead replay did not.
    until(async || !fixture.take_tasks("cat").await.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_or_still_runs_is_not_replayed() {
    let fixture = Fixture::new().await;
    fixture.start();
    let (_, letter) = with_a_dead_letter(&fixture).await;
    let path = format!("/v1/dead-letters/{letter}");
    let discarded = fixture.post(&format!("{path}/discard"), "").await;
    assert_eq!(discarded.json["state"], "discarded");
    assert_eq!(fixture.get(&path).await.json["state"], "discarded");
    for call in ["discard", "replay"] {
        let answer = fixture.post(&format!("{path}/{call}"), "").await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["code"]),
            (409, &json!("DEAD_LETTER_DECIDED"))
        );
    }

    let id = fixture.submit(2, &["cat", "dog"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    fixture.send_outcomes(crashed(&tasks).encode().unwrap()).await;
    let letter = flota_core::DeadLetter::task_id(id, 0, 1);
    until(async || fixture.get(&format!("/v1/dead-letters/{letter}")).await.status == 200).await;
    let answer = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), "").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json["code"]),
        (409, &json!("REQUEST_NOT_FINISHED"))
    );
}
