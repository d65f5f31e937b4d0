use flota_core::RequestId;
use serde_json::{Value, json};

use crate::testing::{Fixture, crashed, until};

/// A request with two images, the second of which crashed `cat`. Both tasks of `dog` succeeded.
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
    let letter = flota_core::DeadLetter::id_of(flota_core::TaskSource::Request(id).task(2), 1);
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

    let answer =
        fixture.post(&format!("/v1/dead-letters/{letter}/replay"), r#"{"by": "ann"}"#).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
    assert_eq!(answer.json["state"], "replayed");
    assert_eq!(answer.json["resolved_by"], "ann");
    assert_eq!(answer.json["replay_round"], 2);
    let view = show(&fixture, id, "").await;
    assert_eq!((&view["status"], &view["counts"]["open"]), (&json!("processing"), &json!(1)));
    let again = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), "").await;
    assert_eq!(again.json["code"], "DEAD_LETTER_RESOLVED");

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
    let all = fixture.get("/v1/dead-letters?include_resolved=true").await.json;
    assert_eq!(all["dead_letters"][0]["id"], letter);
}

/// Three requests with two images each, whose tasks all crashed `cat`, and an unreadable message.
async fn with_seven_dead_letters(fixture: &Fixture) {
    for _ in 0..3 {
        let id = fixture.submit(2, &["cat"], None).await;
        let tasks = fixture.take_tasks("cat").await.remove(0);
        fixture.send_outcomes(crashed(&tasks).encode().unwrap()).await;
        finished(fixture, id).await;
    }
    fixture.send_outcomes("nobody can read this".to_owned()).await;
    until(async || list(fixture, "").await.len() == 7).await;
}

async fn list(fixture: &Fixture, query: &str) -> Vec<Value> {
    let list = fixture.get(&format!("/v1/dead-letters{query}")).await.json;
    list["dead_letters"].as_array().unwrap_or_else(|| panic!("{list}")).clone()
}

#[tokio::test(start_paused = true)]
async fn they_are_listed_by_every_condition_and_counted() {
    let fixture = Fixture::new().await;
    fixture.start();
    with_seven_dead_letters(&fixture).await;
    for (query, count) in [
        ("?model=cat&reason=WORKER_CRASHED", 6),
        ("?model=dog", 0),
        ("?reason=UNREADABLE", 1),
        ("?code=FETCH_TIMEOUT", 6),
        ("?code=FETCH_FAILED", 0),
        ("?until=2026-01-01T00:00:00Z", 6),
        ("?since=2026-01-01T00:00:00Z", 1),
        ("?text=IMAGES.example/1.jpg", 3),
        ("?text=read+this", 1),
    ] {
        assert_eq!(list(&fixture, query).await.len(), count, "{query}");
    }
    let groups = fixture.get("/v1/dead-letters/groups").await.json;
    assert_eq!((&groups["count"], &groups["complete"]), (&json!(7), &json!(true)));
    let told = |n: usize| {
        let group = &groups["groups"][n];
        (group["model"].as_str(), group["reason"].as_str().unwrap(), group["count"].as_u64())
    };
    assert_eq!(told(0), (Some("cat"), "WORKER_CRASHED", Some(6)));
    assert_eq!(told(1), (None, "UNREADABLE", Some(1)));
    let some = fixture.get("/v1/dead-letters/groups?text=1.jpg").await.json;
    assert_eq!(some["count"], 3);
    for query in ["?reason=x", "?code=x", "?since=today", "?limit=x", "?model=A"] {
        let answer = fixture.get(&format!("/v1/dead-letters{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json["code"]), (400, &json!("INVALID_QUERY")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_shows_some_and_does_nothing() {
    let fixture = Fixture::new().await;
    fixture.start();
    with_seven_dead_letters(&fixture).await;
    let busy = fixture.submit(2, &["cat"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    let mut one = crashed(&tasks);
    one.outcomes.truncate(1);
    fixture.send_outcomes(one.encode().unwrap()).await;
    until(async || list(&fixture, "").await.len() == 8).await;

    let body = r#"{"model": "cat", "dry_run": true}"#;
    let dry = fixture.post("/v1/dead-letters/replay", body).await;
    assert_eq!(dry.status.as_u16(), 200, "{}", dry.json);
    assert_eq!((&dry.json["count"], &dry.json["complete"]), (&json!(7), &json!(true)));
    assert_eq!(dry.json["groups"][0]["reason"], "WORKER_CRASHED");
    let sample = dry.json["sample"].as_array().unwrap();
    assert_eq!(sample.len(), 7);
    for letter in sample {
        let runs_still = letter["request"] == busy.to_string();
        let refusal = letter["refusal"].as_str();
        assert_eq!(refusal, runs_still.then_some("REQUEST_NOT_FINISHED"), "{letter}");
    }
    assert!(fixture.take_tasks("cat").await.is_empty());
    assert_eq!(fixture.get("/v1/replays").await.json, json!({"replays": []}));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_one_says_what_would_be_refused_and_does_nothing() {
    let fixture = Fixture::new().await;
    fixture.start();
    let (_, letter) = with_a_dead_letter(&fixture).await;
    let path = format!("/v1/dead-letters/{letter}");
    let dry = r#"{"dry_run": true, "by": "ann"}"#;
    let answer = fixture.post(&format!("{path}/replay"), dry).await;
    assert_eq!((answer.status.as_u16(), &answer.json["state"]), (200, &json!("open")));
    assert_eq!(fixture.get(&path).await.json["state"], "open");
    assert!(fixture.take_tasks("cat").await.is_empty());
    fixture.post(&format!("{path}/discard"), "").await;
    let answer = fixture.post(&format!("{path}/replay"), dry).await;
    assert_eq!(answer.json["code"], "DEAD_LETTER_RESOLVED");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_cannot_be_is_refused() {
    let fixture = Fixture::new().await;
    let refused = async |body: Value, status: u16, code: &str| {
        let answer = fixture.post("/v1/dead-letters/replay", &body.to_string()).await;
        let told = (answer.status.as_u16(), answer.json["code"].as_str().unwrap().to_owned());
        assert_eq!(told, (status, code.to_owned()), "{body}: {}", answer.json);
    };
    refused(json!({}), 422, "INVALID_VALUE").await;
    refused(json!({"model": "cat", "limit": 0}), 422, "INVALID_VALUE").await;
    refused(json!({"model": "cat", "rate_per_second": 0}), 422, "INVALID_VALUE").await;
    refused(json!({"model": "cat", "text": "x".repeat(201)}), 422, "INVALID_VALUE").await;
    refused(json!({"model": "cat", "by": ""}), 422, "INVALID_VALUE").await;
    refused(json!({"model": "cat", "reason": "x"}), 400, "INVALID_FIELD").await;
    refused(json!({"modell": "cat"}), 400, "INVALID_FIELD").await;
    refused(json!({"model": "cat", "to_version": "2"}), 409, "VERSION_NOT_CURRENT").await;
    refused(json!({"model": "cow", "to_version": "2"}), 422, "UNKNOWN_MODEL").await;
    for id in ["replay_1", "replay_019aa5a5d3c27e3a9d1f6f0b8c7d6e5f"] {
        let answer = fixture.get(&format!("/v1/replays/{id}")).await;
        assert_eq!(answer.json["code"], "REPLAY_NOT_FOUND");
        let answer = fixture.post(&format!("/v1/replays/{id}/stop"), "").await;
        assert_eq!(answer.json["code"], "REPLAY_NOT_FOUND");
    }
}

#[tokio::test(start_paused = true)]
async fn many_are_discarded_and_the_record_says_by_whom() {
    let fixture = Fixture::new().await;
    fixture.start();
    with_seven_dead_letters(&fixture).await;
    let nothing = fixture.post("/v1/dead-letters/discard", r#"{"by": "ann"}"#).await;
    assert_eq!(nothing.json["code"], "INVALID_VALUE");
    let body = r#"{"model": "cat", "text": "0.jpg", "limit": 2, "by": "ann"}"#;
    let answer = fixture.post("/v1/dead-letters/discard", body).await;
    assert_eq!(answer.json["discarded_count"], 2, "{}", answer.json);
    let after = answer.json["next_after"].as_str().unwrap();
    let body = json!({"model": "cat", "text": "0.jpg", "after": after, "by": "ann"}).to_string();
    let answer = fixture.post("/v1/dead-letters/discard", &body).await;
    assert_eq!(answer.json, json!({"discarded_count": 1}));
    assert_eq!(list(&fixture, "").await.len(), 4);
    for letter in list(&fixture, "?include_resolved=true&text=0.jpg").await {
        assert_eq!(
            (&letter["state"], &letter["resolved_by"]),
            (&json!("discarded"), &json!("ann"))
        );
    }
    let unreadable = &list(&fixture, "?reason=UNREADABLE").await[0]["id"];
    let path = format!("/v1/dead-letters/{}/replay", unreadable.as_str().unwrap());
    assert_eq!(fixture.post(&path, "").await.json["code"], "NOT_REPLAYABLE");
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
    // The sweeper sends the tasks that the replay did not send before it died.
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
            (409, &json!("DEAD_LETTER_RESOLVED"))
        );
    }

    let id = fixture.submit(2, &["cat", "dog"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    fixture.send_outcomes(crashed(&tasks).encode().unwrap()).await;
    let letter = flota_core::DeadLetter::id_of(flota_core::TaskSource::Request(id).task(0), 1);
    until(async || fixture.get(&format!("/v1/dead-letters/{letter}")).await.status == 200).await;
    for body in ["", r#"{"dry_run": true}"#] {
        let answer = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["code"]),
            (409, &json!("REQUEST_NOT_FINISHED"))
        );
    }
}
