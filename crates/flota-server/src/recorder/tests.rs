use std::sync::Arc;

use flota_core::{
    Callback, CallbackEvent, CallbackId, ClientName, Code, Counts, DeadLetterState, EventsId,
    OutcomesMessage, PackKey, Priority, Reason, RequestId, TaskMessage, TaskSource, TasksMessage,
    ports::{DeadLetterFilter, Finish},
};
use proptest::prelude::*;

use super::Recording;
use crate::{
    notifications::Notifications,
    testing::{Fixture, crashed, failed, succeeded, until},
};

fn recording(fixture: &Fixture) -> Recording {
    Recording {
        requests: fixture.platform.requests.clone(),
        predictions: fixture.platform.predictions.clone(),
        aliases: fixture.platform.aliases.clone(),
        dead_letters: fixture.platform.dead_letters.clone(),
        clock: fixture.platform.clock.clone(),
        notifications: Arc::new(Notifications::default()),
    }
}

async fn letters(fixture: &Fixture) -> Vec<flota_core::DeadLetter> {
    let filter = DeadLetterFilter { limit: 100, ..DeadLetterFilter::default() };
    fixture.platform.dead_letters.list(&filter).await.unwrap().letters
}

async fn callbacks(fixture: &Fixture, id: RequestId) -> Vec<Callback> {
    fixture.platform.callbacks.of_request(id).await.unwrap()
}

/// Does the first `step_count` steps for `message` by hand, as if the recorder died after them.
async fn die_after(step_count: usize, fixture: &Fixture, message: &OutcomesMessage) {
    let requests = &fixture.platform.requests;
    let key = PackKey { round: message.round().unwrap(), pack: message.pack };
    if step_count > 0 {
        fixture.platform.predictions.put(&message.predictions).await.unwrap();
    }
    if step_count > 1 {
        requests.record(key, &message.outcomes).await.unwrap();
    }
    if step_count > 2 {
        requests.complete_pack(key, Counts::default()).await.unwrap();
    }
    if step_count > 3 {
        let id = CallbackId { request: key.round.request, round: message.round };
        let now = fixture.platform.clock.now();
        let event = CallbackEvent::RequestFinished;
        let callback = Callback::new(id, "https://client.example/hook".into(), event, now);
        let finish = Finish { key: key.round, at: now, callback: Some(callback) };
        assert!(requests.finish(&finish).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_any_step_only_repeats_them() {
    for step_count in 0..=4 {
        let fixture = Fixture::new().await;
        let id = fixture.submit(2, &["cat"], Some("client.example")).await;
        let message = succeeded(&fixture.take_tasks("cat").await[0]);
        die_after(step_count, &fixture, &message).await;
        let recording = recording(&fixture);
        recording.record(&message).await.unwrap();
        let before = fixture.get(&format!("/v1/requests/{id}")).await.json;
        assert_eq!(before["status"], "succeeded", "after {step_count} steps");
        assert_eq!(before["terminal"], true);
        assert_eq!(before["callbacks"].as_array().unwrap().len(), 1);
        recording.record(&message).await.unwrap();
        assert_eq!(fixture.get(&format!("/v1/requests/{id}")).await.json, before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_duplicate_changes_nothing_and_leaves_no_dead_letter() {
    let fixture = Fixture::new().await;
    let id = fixture.submit(1, &["cat"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    let recording = recording(&fixture);
    recording.record(&succeeded(&tasks)).await.unwrap();
    recording.record(&crashed(&tasks)).await.unwrap();
    let view = fixture.get(&format!("/v1/requests/{id}")).await.json;
    assert_eq!(view["status"], "succeeded");
    assert!(letters(&fixture).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_lies_beside_its_failed_outcome_however_often_it_comes() {
    let fixture = Fixture::new().await;
    fixture.submit(2, &["cat"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    let recording = recording(&fixture);
    // A dead letter that does not match its outcome is not stored.
    let mut strange = failed(&tasks, Code::DecodeCorrupt);
    strange.dead_letters = crashed(&tasks).dead_letters;
    strange.outcomes.truncate(1);
    recording.record(&strange).await.unwrap();
    assert!(letters(&fixture).await.is_empty());
    for _ in 0..2 {
        recording.record(&crashed(&tasks)).await.unwrap();
        let kept = letters(&fixture).await;
        assert_eq!(kept.len(), 1);
        assert!(kept[0].id.ends_with("-1-1"), "{}", kept[0].id);
    }
}

#[tokio::test(start_paused = true)]
async fn exhausted_attempts_lie_beside_an_outcome_with_the_last_real_code() {
    let fixture = Fixture::new().await;
    fixture.submit(1, &["cat"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    let mut exhausted = crashed(&tasks);
    exhausted.outcomes = failed(&tasks, Code::FetchTimeout).outcomes;
    exhausted.dead_letters[0].reason = Reason::AttemptsExhausted;
    recording(&fixture).record(&exhausted).await.unwrap();
    let kept = letters(&fixture).await;
    assert_eq!(
        kept.iter().map(|letter| letter.reason).collect::<Vec<_>>(),
        [Reason::AttemptsExhausted]
    );
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_nothing_is_dropped() {
    let fixture = Fixture::new().await;
    let id = fixture.submit(1, &["cat"], None).await;
    let message = succeeded(&fixture.take_tasks("cat").await[0]);
    let mut of_nobody = message.clone();
    of_nobody.source = TaskSource::Request(RequestId(uuid::Uuid::from_u128(5)));
    let mut of_no_round = message.clone();
    of_no_round.round = 2;
    let mut of_no_pack = message.clone();
    of_no_pack.pack = 1;
    let mut of_no_task = message.clone();
    of_no_task.outcomes[0].n = 1;
    let recording = recording(&fixture);
    for message in [of_nobody, of_no_round, of_no_pack, of_no_task] {
        recording.record(&message).await.unwrap();
    }
    let view = fixture.get(&format!("/v1/requests/{id}")).await.json;
    assert_eq!(view["status"], "queued");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_can_read_is_a_dead_letter_and_the_loop_goes_on() {
    let fixture = Fixture::new().await;
    let id = fixture.submit(1, &["cat"], None).await;
    fixture.start();
    fixture.send_outcomes("\u{1f600} not JSON".to_owned()).await;
    fixture.work("cat").await;
    until(async || {
        let view = fixture.get(&format!("/v1/requests/{id}")).await.json;
        view["terminal"] == true && letters(&fixture).await.len() == 1
    })
    .await;
    let letter = letters(&fixture).await.remove(0);
    assert_eq!(letter.reason, Reason::Unreadable);
    let queue = fixture.settings.queue_names().outcomes();
    until(async || fixture.platform.queue.depth(&queue).await.unwrap() == Default::default()).await;
}

/// A pack of two tasks of upload events, in `round`.
fn upload_tasks(round: u32) -> TasksMessage {
    let task = |n: u32| TaskMessage {
        n,
        image: format!("s3://photos/{n}.jpg?versionId=1"),
        model: "cat".parse().unwrap(),
        tries: 0,
        faults: Vec::new(),
        fetch_retries: None,
    };
    TasksMessage {
        source: TaskSource::Upload(EventsId(uuid::Uuid::from_u128(6))),
        round,
        pack: 0,
        copy: 0,
        client: ClientName::default(),
        priority: Priority::Normal,
        deadline: None,
        tasks: vec![task(0), task(1)],
    }
}

/// The outcomes of failed tasks, the first `letters` of them with a dead letter.
fn uploads_failed(tasks: &TasksMessage, letters: usize) -> OutcomesMessage {
    let mut message = failed(tasks, Code::DecodeCorrupt);
    message.aliases = Vec::new();
    message.dead_letters = crashed(tasks).dead_letters.into_iter().take(letters).collect();
    for letter in &mut message.dead_letters {
        letter.reason = Reason::Failed;
    }
    message
}

#[tokio::test(start_paused = true)]
async fn an_upload_leaves_its_prediction_and_its_alias() {
    let fixture = Fixture::new().await;
    let message = succeeded(&upload_tasks(1));
    let recording = recording(&fixture);
    for _ in 0..2 {
        recording.record(&message).await.unwrap();
        let keys: Vec<_> = message.predictions.iter().map(|known| known.key.clone()).collect();
        assert_eq!(fixture.platform.predictions.get(&keys).await.unwrap(), message.predictions);
        let objects: Vec<_> = message.aliases.iter().map(|alias| alias.object.clone()).collect();
        assert_eq!(objects.len(), 2);
        assert_eq!(fixture.platform.aliases.get(&objects).await.unwrap(), message.aliases);
        assert!(letters(&fixture).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_failed_leaves_a_dead_letter_which_hears_how_its_replay_ends() {
    let fixture = Fixture::new().await;
    let recording = recording(&fixture);
    let message = uploads_failed(&upload_tasks(1), 1);
    for _ in 0..2 {
        recording.record(&message).await.unwrap();
        let kept = letters(&fixture).await;
        assert_eq!(kept, message.dead_letters, "the other object is gone");
    }
    let mut strange = message.clone();
    strange.source = TaskSource::Upload(EventsId(uuid::Uuid::from_u128(7)));
    recording.record(&strange).await.unwrap();
    assert_eq!(letters(&fixture).await.len(), 1, "a dead letter of others is not kept");

    let id = &message.dead_letters[0].id;
    let at = fixture.platform.clock.now();
    let state = DeadLetterState::Replayed { round: 2, at, by: "test".to_owned(), succeeded: None };
    assert!(fixture.platform.dead_letters.decide(id, &state).await.unwrap());
    recording.record(&succeeded(&upload_tasks(2))).await.unwrap();
    let replayed = fixture.platform.dead_letters.get(id).await.unwrap().unwrap();
    assert!(
        matches!(replayed.state, DeadLetterState::Replayed { succeeded: Some(true), .. }),
        "{replayed:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// In any order and with any repetition of messages, each task has the first outcome that
    /// arrived, and the round finishes once.
    #[test]
    fn any_order_and_repetition_ends_alike(
        order in Just((0..9_usize).flat_map(|i| [i, i]).collect::<Vec<_>>()).prop_shuffle(),
        cut in 0_usize..18,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let id = fixture.submit(30, &["cat", "dog"], Some("client.example")).await;
            let mut tasks = fixture.take_tasks("cat").await;
            tasks.extend(fixture.take_tasks("dog").await);
            // Two packs of each model: in full, in part, and with the outcomes of another worker.
            let mut messages: Vec<OutcomesMessage> = tasks.iter().map(succeeded).collect();
            messages.extend(tasks.iter().map(|tasks| failed(tasks, Code::DecodeCorrupt)));
            let mut rest = succeeded(&tasks[0]);
            rest.outcomes.truncate(5);
            messages.push(rest);
            assert_eq!(messages.len(), 9);

            let recording = recording(&fixture);
            let mut first = std::collections::BTreeMap::new();
            for (step, index) in order.iter().enumerate() {
                let message = &messages[*index];
                if step == cut {
                    // The recorder dies after recording the outcomes.
                    die_after(2, &fixture, message).await;
                } else {
                    recording.record(message).await.unwrap();
                }
                for outcome in &message.outcomes {
                    first.entry(outcome.n).or_insert_with(|| outcome.outcome.clone());
                }
            }
            let round = flota_core::RoundKey { request: id, round: 1 };
            let kept: std::collections::BTreeMap<_, _> = fixture
                .platform.requests.packs(round).await.unwrap()
                .into_iter().flat_map(|(_, record)| record.outcomes).collect();
            assert_eq!(kept.len(), 60);
            assert_eq!(kept, first);
            for message in &messages {
                recording.record(message).await.unwrap();
            }
            assert_eq!(callbacks(&fixture, id).await.len(), 1);
            let rounds = fixture.platform.requests.rounds(id).await.unwrap();
            assert!(rounds[0].finished_at.is_some());
        });
    }
}
