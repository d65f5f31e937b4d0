use std::collections::BTreeSet;

use flota_core::{
    Code, DeadLetter, DeadLetterState, EventsId, Fault, OutcomesMessage, Priority, Reason,
    RequestId, Subject, TaskId, TaskMessage, TaskSource, TasksMessage,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::testing::{Fixture, crashed, failed, register, roles, succeeded, until};

/// Submits `image_count` images to `cat`, all of which crash it.
async fn die(fixture: &Fixture, image_count: usize) -> RequestId {
    let id = fixture.submit(image_count, &["cat"], None).await;
    for tasks in fixture.take_tasks("cat").await {
        fixture.send_outcomes(crashed(&tasks).encode().unwrap()).await;
    }
    until(async || fixture.get(&format!("/v1/requests/{id}")).await.json["terminal"] == true).await;
    id
}

async fn start(fixture: &Fixture, body: Value) -> String {
    let answer = fixture.post("/v1/dead-letters/replay", &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.json);
    let id = answer.json["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.headers["location"], format!("/v1/replays/{id}"));
    id
}

async fn show(fixture: &Fixture, id: &str) -> Value {
    fixture.get(&format!("/v1/replays/{id}")).await.json
}

async fn ended(fixture: &Fixture, id: &str) -> Value {
    until(async || show(fixture, id).await["state"] != "running").await;
    show(fixture, id).await
}

async fn open_count(fixture: &Fixture) -> u64 {
    fixture.get("/v1/dead-letters/groups").await.json["count"].as_u64().unwrap()
}

/// Waits for tasks of `cat` and takes them.
async fn next_tasks(fixture: &Fixture) -> Vec<TasksMessage> {
    let mut messages = Vec::new();
    until(async || {
        messages.extend(fixture.take_tasks("cat").await);
        !messages.is_empty()
    })
    .await;
    messages
}

async fn answer(fixture: &Fixture, outcomes: &OutcomesMessage) {
    fixture.send_outcomes(outcomes.encode().unwrap()).await;
}

fn task_count(messages: &[TasksMessage]) -> usize {
    messages.iter().map(|message| message.tasks.len()).sum()
}

/// Acts as the worker of `cat` until the replay ends. Returns each task that it received, with its
/// round.
async fn work_until_ended(fixture: &Fixture, id: &str) -> Vec<(TaskId, u32)> {
    let mut ran = Vec::new();
    until(async || {
        for message in fixture.take_tasks("cat").await {
            ran.extend(message.tasks.iter().map(|t| (message.source.task(t.n), message.round)));
            answer(fixture, &succeeded(&message)).await;
        }
        show(fixture, id).await["state"] != "running"
    })
    .await;
    ran
}

#[tokio::test(start_paused = true)]
async fn a_canary_runs_first_and_then_the_others() {
    let fixture = Fixture::new().await;
    fixture.start();
    for _ in 0..4 {
        die(&fixture, 5).await;
    }
    let id = die(&fixture, 5).await;
    let replay = start(&fixture, json!({"model": "cat", "by": "ann"})).await;
    let mut canary = Vec::new();
    until(async || {
        canary.extend(fixture.take_tasks("cat").await);
        task_count(&canary) == 10
    })
    .await;
    let (first, rest) = canary.split_first().unwrap();
    for message in rest {
        answer(&fixture, &succeeded(message)).await;
    }
    let all = |messages: &[TasksMessage]| messages.iter().all(|message| message.round == 2);
    assert!(all(&canary));
    assert_eq!(show(&fixture, &replay).await["state"], "running");
    assert!(fixture.take_tasks("cat").await.is_empty(), "the canary is not evaluated");
    answer(&fixture, &succeeded(first)).await;

    let others = work_until_ended(&fixture, &replay).await;
    assert_eq!(others.len(), 15);
    assert!(others.iter().all(|(_, round)| *round == 2));
    let end = ended(&fixture, &replay).await;
    assert_eq!((&end["state"], &end["by"]), (&json!("completed"), &json!("ann")));
    let counts = json!({"running": 0, "succeeded": 25, "failed": 0, "resent": 0, "skipped": 0});
    assert_eq!(end["counts"], counts);
    let request = fixture.get(&format!("/v1/requests/{id}")).await.json;
    assert_eq!(request["status"], "succeeded");
    let letters = fixture.get("/v1/dead-letters?include_resolved=true").await.json;
    assert_eq!(letters["dead_letters"][0]["resolved_by"], json!(replay));
    assert_eq!(fixture.get("/v1/replays?model=cat").await.json["replays"], json!([end]));
}

#[tokio::test(start_paused = true)]
async fn all_of_a_request_run_in_one_round_with_one_callback() {
    let fixture = Fixture::new().await;
    fixture.start();
    let mut ids = Vec::new();
    for image_count in [3, 25, 130] {
        let id = fixture.submit(image_count, &["cat"], Some("client.example")).await;
        for tasks in fixture.take_tasks("cat").await {
            fixture.send_outcomes(crashed(&tasks).encode().unwrap()).await;
        }
        ids.push(id);
    }
    let called_back = async |count: usize| {
        until(async || fixture.receivers.of("client.example").len() == count).await;
    };
    called_back(3).await;
    let replay = start(&fixture, json!({"model": "cat"})).await;
    let ran = work_until_ended(&fixture, &replay).await;
    assert_eq!(ran.len(), 158);
    assert!(ran.iter().all(|(_, round)| *round == 2), "{ran:?}");
    called_back(6).await;
    for id in ids {
        let request = fixture.get(&format!("/v1/requests/{id}")).await.json;
        assert_eq!(request["rounds"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_too_many_fail_again() {
    let fixture = Fixture::new().await;
    fixture.start();
    for _ in 0..3 {
        die(&fixture, 10).await;
    }
    let replay = start(&fixture, json!({"model": "cat"})).await;
    let canary = next_tasks(&fixture).await;
    assert_eq!(task_count(&canary), 10);
    let (mut good, mut bad) = (canary[0].clone(), canary[0].clone());
    bad.tasks.drain(3..);
    good.tasks.drain(..3);
    answer(&fixture, &crashed(&bad)).await;
    answer(&fixture, &succeeded(&good)).await;
    let end = ended(&fixture, &replay).await;
    assert_eq!((&end["state"], &end["why"]), (&json!("stopped"), &json!("TOO_MANY_FAILED")));
    assert_eq!(end["counts"]["failed"], 3);
    assert!(fixture.take_tasks("cat").await.is_empty());
    // Those that were not replayed, and those that failed again.
    assert_eq!(open_count(&fixture).await, 23);
}

#[tokio::test(start_paused = true)]
async fn one_runs_at_a_time_for_each_model_and_can_be_stopped() {
    let fixture = Fixture::new().await;
    fixture.start();
    die(&fixture, 10).await;
    die(&fixture, 2).await;
    let first = start(&fixture, json!({"model": "cat"})).await;
    let second = fixture.post("/v1/dead-letters/replay", r#"{"model": "cat"}"#).await;
    assert_eq!((second.status.as_u16(), &second.json["code"]), (409, &json!("REPLAY_RUNNING")));
    assert!(second.json["detail"].as_str().unwrap().contains(&first), "{}", second.json);
    start(&fixture, json!({"model": "dog"})).await;

    assert_eq!(task_count(&next_tasks(&fixture).await), 10);
    let path = format!("/v1/replays/{first}/stop");
    let stopped = fixture.post(&path, r#"{"by": "bob"}"#).await.json;
    assert_eq!((&stopped["why"], &stopped["stopped_by"]), (&json!("BY_HAND"), &json!("bob")));
    assert_eq!(fixture.post(&path, "").await.json["code"], "REPLAY_ENDED");
    assert_eq!(open_count(&fixture).await, 2);
    start(&fixture, json!({"model": "cat"})).await;
}

/// Starts a replay on one server, which dies after `moments`, and finishes it on another.
async fn killed_after(moments: usize) {
    let fixture = Fixture::new().await;
    let first = fixture.start();
    for _ in 0..3 {
        die(&fixture, 20).await;
    }
    let replay = start(&fixture, json!({"model": "cat"})).await;
    let mut ran = Vec::new();
    for _ in 0..moments {
        for message in fixture.take_tasks("cat").await {
            ran.extend(message.tasks.iter().map(|t| (message.source.task(t.n), message.round)));
            answer(&fixture, &succeeded(&message)).await;
        }
        tokio::time::advance(std::time::Duration::from_millis(50)).await;
    }
    first.iter().for_each(JoinHandle::abort);
    let (_stop, second) = roles(&fixture.platform, &fixture.settings);
    *fixture.roles.lock().unwrap() = Some(second);
    let _second = fixture.start();

    ran.extend(work_until_ended(&fixture, &replay).await);
    let tasks: BTreeSet<TaskId> = ran.iter().map(|(task, _)| *task).collect();
    assert_eq!((ran.len(), tasks.len()), (60, 60), "killed after {moments} moments");
    let end = ended(&fixture, &replay).await;
    assert_eq!((&end["state"], &end["counts"]["succeeded"]), (&json!("completed"), &json!(60)));
    assert_eq!(open_count(&fixture).await, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_dies_another_server_goes_on_and_each_runs_once() {
    for moments in (0..40).step_by(3) {
        killed_after(moments).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_hands_its_replays_over_at_once() {
    let fixture = Fixture::new().await;
    let first = fixture.start();
    die(&fixture, 10).await;
    die(&fixture, 2).await;
    let replay = start(&fixture, json!({"model": "cat"})).await;
    assert_eq!(task_count(&next_tasks(&fixture).await), 10);
    fixture.stop.cancel();
    for role in first {
        role.await.unwrap();
    }
    let now = fixture.platform.clock.now();
    let claimed = fixture.platform.replays.claim(now, now, 10).await.unwrap();
    assert_eq!(claimed.len(), 1, "it need not wait for the end of the claim");
    assert_eq!(claimed[0].id.to_string(), replay);
    assert_eq!(claimed[0].progress.in_flight.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_limit_and_the_rate_are_kept() {
    let fixture = Fixture::new().await;
    fixture.start();
    for _ in 0..4 {
        die(&fixture, 10).await;
    }
    let body = json!({"model": "cat", "limit": 30, "rate_per_second": 2});
    let began = fixture.platform.clock.now();
    let replay = start(&fixture, body).await;
    let ran = work_until_ended(&fixture, &replay).await;
    assert_eq!(ran.len(), 30);
    let passed = fixture.platform.clock.now().duration_since(began).as_secs_f64();
    assert!(passed >= 9.0, "30 at 2 per second, ten of a request at a time, took {passed} s");
    assert_eq!(open_count(&fixture).await, 10);
}

#[tokio::test(start_paused = true)]
async fn only_the_wanted_version_counts() {
    let fixture = Fixture::new().await;
    fixture.start();
    for _ in 0..2 {
        die(&fixture, 10).await;
    }
    let replay = start(&fixture, json!({"model": "cat", "to_version": "1"})).await;
    for message in next_tasks(&fixture).await {
        let mut other = succeeded(&message);
        for outcome in &mut other.outcomes {
            let flota_core::Ending::Succeeded { prediction, .. } = &mut outcome.outcome.ending
            else {
                unreachable!("it succeeded")
            };
            prediction.version.0 = "0.9".to_owned();
        }
        for prediction in &mut other.predictions {
            prediction.key.version.0 = "0.9".to_owned();
        }
        answer(&fixture, &other).await;
    }
    let end = ended(&fixture, &replay).await;
    assert_eq!((&end["why"], &end["counts"]["failed"]), (&json!("TOO_MANY_FAILED"), &json!(10)));

    let replay = start(&fixture, json!({"model": "cat", "to_version": "1"})).await;
    register(&fixture.platform, "cat", "2", "cat").await;
    let end = ended(&fixture, &replay).await;
    assert_eq!(end["why"], "VERSION_NOT_CURRENT");
}

#[tokio::test(start_paused = true)]
async fn what_runs_still_or_was_decided_is_skipped() {
    let fixture = Fixture::new().await;
    fixture.start();
    let busy = fixture.submit(2, &["cat", "dog"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    answer(&fixture, &crashed(&tasks)).await;
    until(async || open_count(&fixture).await == 2).await;
    let replay = start(&fixture, json!({"model": "cat"})).await;
    until(async || show(&fixture, &replay).await["counts"]["running"] == 2).await;
    let letter = DeadLetter::id_of(TaskSource::Request(busy).task(0), 1);
    let answer = fixture.post(&format!("/v1/dead-letters/{letter}/discard"), "").await;
    assert_eq!(answer.status.as_u16(), 200);
    let end = ended(&fixture, &replay).await;
    assert_eq!((&end["state"], &end["counts"]["skipped"]), (&json!("completed"), &json!(2)));
    assert_eq!(open_count(&fixture).await, 1, "what waited too long stays open");
}

/// The dead letter of a task of an upload event.
fn upload(n: u32, fixture: &Fixture) -> DeadLetter {
    let task = TaskSource::Upload(EventsId(Uuid::from_u128(7))).task(n);
    let now = fixture.platform.clock.now();
    DeadLetter {
        id: DeadLetter::id_of(task, 1),
        subject: Subject::Task {
            task,
            round: 1,
            model: "cat".parse().unwrap(),
            image: format!("s3://photos/{n}.jpg?versionId=1"),
            client: "default".parse().unwrap(),
            priority: Priority::Normal,
        },
        reason: Reason::Failed,
        message: "the image is cut off".to_owned(),
        attempts: 1,
        history: vec![Fault::new(now, Code::DecodeCorrupt, "cut off")],
        created_at: now,
        state: DeadLetterState::Open,
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_uploads_are_sent_again_and_judged_by_what_the_recorder_hears() {
    let fixture = Fixture::new().await;
    fixture.start();
    for n in 0..4 {
        fixture.platform.dead_letters.put(&upload(n, &fixture)).await.unwrap();
    }
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let replay = start(&fixture, json!({"model": "cat"})).await;
    let messages = next_tasks(&fixture).await;
    assert_eq!(messages.len(), 4);
    for message in &messages {
        assert_eq!(message.source, TaskSource::Upload(EventsId(Uuid::from_u128(7))));
        assert_eq!((message.round, message.pack), (2, 0));
        let TaskMessage { n, image, .. } = &message.tasks[0];
        assert_eq!(*image, format!("s3://photos/{n}.jpg?versionId=1"));
        let outcomes = match n {
            0 => failed(message, Code::DecodeCorrupt),
            _ => succeeded(message),
        };
        answer(&fixture, &outcomes).await;
    }
    let end = ended(&fixture, &replay).await;
    let counts = json!({"running": 0, "succeeded": 3, "failed": 1, "resent": 0, "skipped": 0});
    assert_eq!((&end["state"], &end["counts"]), (&json!("completed"), &counts));
    let letter = DeadLetter::id_of(TaskSource::Upload(EventsId(Uuid::from_u128(7))).task(1), 1);
    let letter = fixture.get(&format!("/v1/dead-letters/{letter}")).await.json;
    assert_eq!((&letter["replay_succeeded"], &letter["replay_round"]), (&json!(true), &json!(2)));
    assert_eq!(fixture.take_tasks("cat").await.len(), 0, "each was sent once");
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_sent_is_skipped_and_holds_up_no_other() {
    let fixture = Fixture::new().await;
    fixture.start();
    let mut long = upload(0, &fixture);
    let Subject::Task { image, .. } = &mut long.subject else { unreachable!("it is a task") };
    *image = format!("s3://photos/{}", "x".repeat(70_000));
    for letter in [&long, &upload(1, &fixture)] {
        fixture.platform.dead_letters.put(letter).await.unwrap();
    }
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let path = format!("/v1/dead-letters/{}/replay", long.id);
    let refused = fixture.post(&path, "").await;
    let told = (refused.status.as_u16(), &refused.json["code"]);
    assert_eq!(told, (422, &json!("NOT_REPLAYABLE")));

    let replay = start(&fixture, json!({"model": "cat"})).await;
    let messages = next_tasks(&fixture).await;
    assert_eq!(task_count(&messages), 1);
    answer(&fixture, &succeeded(&messages[0])).await;
    let end = ended(&fixture, &replay).await;
    let counts = json!({"running": 0, "succeeded": 1, "failed": 0, "resent": 0, "skipped": 1});
    assert_eq!((&end["state"], &end["counts"]), (&json!("completed"), &counts));
}
