use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use flota_core::{
    Alias, CallbackAttempt, CallbackState, Counts, DeadLetterSelection, DeadLetterState, ImageRef,
    PredictionKey, Reason, Replay, ReplayId, ReplayPlan, ReplayProgress, ReplayState, Request,
    RoundKey, Sha256, TaskSource,
    ports::{Accepted, Finish, IdempotencyKey, NewMessage, StoredKind, UPLOADED_PREFIX},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fresh::{Factory, Fresh},
    samples::{
        MINUTE, accept, accepted, callback, dead_task, failed, finish, key, message, pack,
        prediction, request, succeeded, tasks_queue,
    },
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn every_promise(fresh: Factory) {
    a_finished_request_goes_with_all_that_belongs_to_it(fresh()).await;
    what_is_open_about_a_request_holds_it(fresh()).await;
    a_replayed_request_is_as_old_as_its_last_round(fresh()).await;
    many_requests_go_in_steps(fresh()).await;
    a_prediction_stays_while_an_outcome_names_it(fresh()).await;
    a_use_makes_a_prediction_young_again(fresh()).await;
    an_alias_goes_with_the_predictions_of_its_content(fresh()).await;
    dead_letters_go_by_when_they_were_resolved(fresh()).await;
    replays_go_once_they_have_ended(fresh()).await;
    an_image_stays_while_a_request_names_it(fresh()).await;
    messages_go_unless_somebody_holds_them(fresh()).await;
}

/// Goes once through `kind`; how many were deleted.
async fn delete(fresh: &Fresh, kind: StoredKind, before: Timestamp) -> u64 {
    let retention = fresh.store.retention.as_ref().unwrap();
    let (mut count, mut after) = (0, None);
    loop {
        let step = retention.delete(kind, before, after.as_deref()).await.unwrap();
        count += step.count;
        assert!(step.next.is_none() || step.next != after, "{kind}: it does not go on");
        after = step.next;
        if after.is_none() {
            return count;
        }
    }
}

/// A finished request with one outcome, without a callback.
async fn finished(fresh: &Fresh, id: u128) -> RoundKey {
    let requests = &fresh.store.requests;
    let round = accepted(requests.as_ref(), id, fresh.now()).await;
    requests.record(pack(round, 0), &[succeeded(1, fresh.now())]).await.unwrap();
    requests.complete_pack(pack(round, 0), Counts::default()).await.unwrap();
    let finish = Finish { callback: None, ..finish(round, fresh.now()) };
    requests.finish(&finish).await.unwrap();
    round
}

async fn is_there(fresh: &Fresh, round: RoundKey) -> bool {
    let is_there = fresh.store.requests.request(round.request).await.unwrap().is_some();
    let rounds = fresh.store.requests.rounds(round.request).await.unwrap();
    assert_eq!(is_there, !rounds.is_empty(), "a request is there whole or not at all");
    is_there
}

async fn a_finished_request_goes_with_all_that_belongs_to_it(fresh: Fresh) {
    let (requests, callbacks) = (&fresh.store.requests, &fresh.store.callbacks);
    let request = request(1, fresh.now());
    let key = |fingerprint: &str| IdempotencyKey {
        client: request.client.clone(),
        key: "order-7".to_owned(),
        fingerprint: Sha256::of(fingerprint.as_bytes()),
    };
    let mut accepting = accept(&request, fresh.now() + MINUTE);
    accepting.idempotency = Some(key("a"));
    requests.accept(&accepting).await.unwrap();
    let round = RoundKey { request: request.id, round: 1 };
    let task = TaskSource::Request(request.id).task(2);
    requests.count_attempt(task, 1).await.unwrap();
    requests.record(pack(round, 0), &[failed(2, "broken", fresh.now())]).await.unwrap();
    requests.complete_pack(pack(round, 0), Counts::default()).await.unwrap();
    requests.finish(&finish(round, fresh.now())).await.unwrap();
    let claim = fresh.now() + MINUTE;
    let due = callbacks.claim_due(fresh.now(), claim, 10).await.unwrap();
    let attempt =
        CallbackAttempt { at: fresh.now(), status: Some(204), error: None, duration_ms: 3 };
    let delivered = (CallbackState::Delivered, None);
    callbacks.attempted(due[0].id, claim, &attempt, delivered).await.unwrap();
    let other = accepted(requests.as_ref(), 2, fresh.now()).await;

    let finished_at = fresh.now();
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Requests, finished_at).await, 0, "it is not older");
    assert!(is_there(&fresh, round).await);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, 1);
    assert!(!is_there(&fresh, round).await && is_there(&fresh, other).await);
    assert!(requests.packs(round).await.unwrap().is_empty());
    assert_eq!(requests.attempts(task, 1).await.unwrap(), 0);
    assert!(callbacks.of_request(request.id).await.unwrap().is_empty());
    assert!(
        !requests
            .open_round(RoundKey { round: 2, ..round }, &BTreeSet::from([2]), finished_at, claim)
            .await
            .unwrap()
    );
    let again = Request { id: flota_core::RequestId(Uuid::from_u128(3)), ..request.clone() };
    let mut accepting = accept(&again, fresh.now() + MINUTE);
    accepting.idempotency = Some(key("b"));
    assert_eq!(requests.accept(&accepting).await.unwrap(), Accepted::New, "the key went too");
}

async fn what_is_open_about_a_request_holds_it(fresh: Fresh) {
    let requests = &fresh.store.requests;
    let open = accepted(requests.as_ref(), 1, fresh.now()).await;
    let called_back = accepted(requests.as_ref(), 2, fresh.now()).await;
    let pending = Finish {
        callback: Some(callback(called_back, fresh.now())),
        ..finish(called_back, fresh.now())
    };
    requests.finish(&pending).await.unwrap();
    let replayed = finished(&fresh, 3).await;
    let second = RoundKey { round: 2, ..replayed };
    let tasks = BTreeSet::from([1]);
    assert!(requests.open_round(second, &tasks, fresh.now(), fresh.now()).await.unwrap());
    let dead = finished(&fresh, 4).await;
    let mut letter = dead_task(1, Reason::WorkerCrashed, fresh.now());
    let task = TaskSource::Request(dead.request).task(1);
    letter.id = flota_core::DeadLetter::id_of(task, 1);
    letter.subject = flota_core::Subject::Task {
        task,
        round: 1,
        model: "cat".parse().unwrap(),
        image: "https://a/7".to_owned(),
        client: flota_core::ClientName::default(),
        priority: flota_core::Priority::Normal,
    };
    fresh.store.dead_letters.put(&letter).await.unwrap();
    let over = finished(&fresh, 5).await;
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, 1);
    for held in [open, called_back, replayed, dead] {
        assert!(is_there(&fresh, held).await, "{held:?}");
    }
    assert!(!is_there(&fresh, over).await);

    let discarded = DeadLetterState::Discarded { at: fresh.now(), by: String::new() };
    fresh.store.dead_letters.decide(&letter.id, &discarded).await.unwrap();
    requests.finish(&Finish { callback: None, ..finish(second, fresh.now()) }).await.unwrap();
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, 2);
    assert!(is_there(&fresh, open).await && is_there(&fresh, called_back).await);
}

async fn a_replayed_request_is_as_old_as_its_last_round(fresh: Fresh) {
    let first = finished(&fresh, 1).await;
    fresh.advance(DAY);
    let second = RoundKey { round: 2, ..first };
    let (requests, now) = (&fresh.store.requests, fresh.now());
    assert!(requests.open_round(second, &BTreeSet::from([1]), now, now).await.unwrap());
    requests.finish(&Finish { callback: None, ..finish(second, now) }).await.unwrap();
    assert_eq!(delete(&fresh, StoredKind::Requests, now).await, 0);
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, 1);
}

async fn many_requests_go_in_steps(fresh: Fresh) {
    const COUNT: u128 = 450;
    for id in 1..=COUNT {
        finished(&fresh, id).await;
    }
    let open = accepted(fresh.store.requests.as_ref(), COUNT + 1, fresh.now()).await;
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, COUNT as u64);
    assert!(is_there(&fresh, open).await);
    while fresh.store.retention.as_ref().unwrap().shrink().await.unwrap() > 0 {}
}

async fn stored(fresh: &Fresh, key: &PredictionKey) -> bool {
    !fresh.store.predictions.get(std::slice::from_ref(key)).await.unwrap().is_empty()
}

async fn a_prediction_stays_while_an_outcome_names_it(fresh: Fresh) {
    let (named, alone) = (key("image", "1.0.0"), key("image", "2.0.0"));
    let both = [prediction(&named, 0.5, fresh.now()), prediction(&alone, 0.5, fresh.now())];
    fresh.store.predictions.put(&both).await.unwrap();
    // The sample's outcome names the first.
    finished(&fresh, 1).await;
    assert_eq!(delete(&fresh, StoredKind::Predictions, fresh.now()).await, 0, "they are young");
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Predictions, fresh.now()).await, 1);
    assert!(stored(&fresh, &named).await && !stored(&fresh, &alone).await);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, 1);
    assert_eq!(delete(&fresh, StoredKind::Predictions, fresh.now()).await, 1);
    assert!(!stored(&fresh, &named).await);
}

async fn a_use_makes_a_prediction_young_again(fresh: Fresh) {
    let predictions = &fresh.store.predictions;
    let keys = [key("used", "1"), key("written again", "1"), key("unused", "1")];
    let all = keys.each_ref().map(|key| prediction(key, 0.5, fresh.now()));
    predictions.put(&all).await.unwrap();
    fresh.advance(2 * DAY);
    let unknown = key("unknown", "1");
    let asked = [unknown, keys[0].clone()];
    assert_eq!(predictions.used(&asked).await.unwrap(), keys[..1]);
    predictions.put(&all[1..2]).await.unwrap();
    let used_at = fresh.now();
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Predictions, used_at).await, 1);
    assert_eq!(predictions.used(&keys).await.unwrap(), keys[..2]);
}

async fn an_alias_goes_with_the_predictions_of_its_content(fresh: Fresh) {
    let known = key("image", "1");
    fresh.store.predictions.put(&[prediction(&known, 0.5, fresh.now())]).await.unwrap();
    let alias = |name: &str, sha256| Alias {
        object: format!("s3://photos/{name}?versionId=1").parse().unwrap(),
        sha256,
    };
    let both = [alias("a", known.sha256), alias("b", Sha256::of(b"other"))];
    fresh.store.aliases.put(&both).await.unwrap();
    assert_eq!(delete(&fresh, StoredKind::Aliases, fresh.now()).await, 1);
    let objects = both.each_ref().map(|alias| alias.object.clone());
    assert_eq!(fresh.store.aliases.get(&objects).await.unwrap(), both[..1]);
}

async fn dead_letters_go_by_when_they_were_resolved(fresh: Fresh) {
    let letters = &fresh.store.dead_letters;
    for n in 1..=3 {
        letters.put(&dead_task(n, Reason::WorkerCrashed, fresh.now())).await.unwrap();
    }
    let id = |n| dead_task(n, Reason::WorkerCrashed, fresh.now()).id;
    let made_at = fresh.now();
    fresh.advance(DAY);
    let discarded = |at| DeadLetterState::Discarded { at, by: String::new() };
    letters.decide(&id(1), &discarded(fresh.now())).await.unwrap();
    let resolved_at = fresh.now();
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::DeadLetters, resolved_at).await, 0);
    assert_eq!(delete(&fresh, StoredKind::OpenDeadLetters, made_at).await, 0);
    assert_eq!(delete(&fresh, StoredKind::DeadLetters, fresh.now()).await, 1);
    assert!(letters.get(&id(1)).await.unwrap().is_none());
    letters.decide(&id(2), &discarded(fresh.now())).await.unwrap();
    assert_eq!(delete(&fresh, StoredKind::OpenDeadLetters, fresh.now()).await, 1);
    assert!(letters.get(&id(2)).await.unwrap().is_some(), "it is resolved, and that just now");

    // Of a request that runs again nothing goes.
    let dead = dead_task(4, Reason::WorkerCrashed, fresh.now());
    letters.put(&dead).await.unwrap();
    accepted(fresh.store.requests.as_ref(), 1, fresh.now()).await;
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::OpenDeadLetters, fresh.now()).await, 0);
}

async fn replays_go_once_they_have_ended(fresh: Fresh) {
    let replays = &fresh.store.replays;
    let replay = |id: u128, model: &str| Replay {
        id: ReplayId(Uuid::from_u128(id)),
        model: model.parse().unwrap(),
        plan: ReplayPlan {
            selection: DeadLetterSelection::default(),
            limit: None,
            rate_per_second: None,
            to_version: None,
            canary_count: 1,
            max_failed_percent: 20,
        },
        by: "ann".to_owned(),
        created_at: fresh.now(),
        state: ReplayState::Running,
        progress: ReplayProgress::default(),
        claimed_until: fresh.now(),
        revision: 0,
    };
    let (mut ended, running) = (replay(1, "cat"), replay(2, "dog"));
    replays.start(&ended).await.unwrap();
    replays.start(&running).await.unwrap();
    ended.state = ReplayState::Completed { at: fresh.now() };
    assert!(replays.update(&ended).await.unwrap());
    assert_eq!(delete(&fresh, StoredKind::Replays, fresh.now()).await, 0);
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Replays, fresh.now()).await, 1);
    assert!(replays.get(ended.id).await.unwrap().is_none());
    assert!(replays.get(running.id).await.unwrap().is_some());
}

async fn an_image_stays_while_a_request_names_it(fresh: Fresh) {
    let images = &fresh.store.images;
    let url = |name: &str| format!("{UPLOADED_PREFIX}{}", Sha256::of(name.as_bytes()));
    let names = ["named", "alone", "uploaded again"];
    for name in names {
        images.put(Bytes::from(name)).await.unwrap();
    }
    let naming = Request {
        images: vec![ImageRef { url: url("named"), id: None }; 2],
        ..request(1, fresh.now())
    };
    fresh.store.requests.accept(&accept(&naming, fresh.now() + MINUTE)).await.unwrap();
    assert_eq!(delete(&fresh, StoredKind::Images, fresh.now()).await, 0, "they are young");
    fresh.advance(DAY);
    images.put(Bytes::from("uploaded again")).await.unwrap();
    let there = async || {
        let mut there = Vec::new();
        for name in names {
            if images.fetch(&url(name), 100).await.is_ok() {
                there.push(name);
            }
        }
        there
    };
    assert_eq!(delete(&fresh, StoredKind::Images, fresh.now()).await, 1);
    assert_eq!(there().await, ["named", "uploaded again"]);
    let round = RoundKey { request: naming.id, round: 1 };
    let over = Finish { callback: None, ..finish(round, fresh.now()) };
    fresh.store.requests.finish(&over).await.unwrap();
    fresh.advance(DAY);
    assert_eq!(delete(&fresh, StoredKind::Images, fresh.now()).await, 1);
    assert_eq!(delete(&fresh, StoredKind::Requests, fresh.now()).await, 1);
    assert_eq!(delete(&fresh, StoredKind::Images, fresh.now()).await, 1);
    assert!(there().await.is_empty());
}

async fn messages_go_unless_somebody_holds_them(fresh: Fresh) {
    let (queue, name) = (&fresh.store.queue, tasks_queue("cat"));
    let delayed = NewMessage { delay: 10 * MINUTE, ..message("delayed") };
    queue.send(&name, &[message("held"), message("left"), delayed]).await.unwrap();
    let sent_at = fresh.now();
    let held = queue.receive(&name, 1, Duration::ZERO, 10 * MINUTE).await.unwrap();
    fresh.advance(MINUTE);
    queue.send(&name, &[message("young")]).await.unwrap();
    assert_eq!(delete(&fresh, StoredKind::Messages, sent_at).await, 0);
    assert_eq!(delete(&fresh, StoredKind::Messages, sent_at + MINUTE).await, 1);
    let left = queue.receive(&name, 10, Duration::ZERO, MINUTE).await.unwrap();
    assert_eq!(left.iter().map(|it| it.body.as_str()).collect::<Vec<_>>(), ["young"]);
    assert_eq!(held[0].body, "held");
    let acknowledged = queue.ack(&name, &[held[0].receipt.clone()]).await.unwrap();
    assert!(acknowledged[0].is_ok());
    let depth = queue.depth(&name).await.unwrap();
    assert_eq!((depth.ready, depth.in_flight, depth.delayed), (0, 1, 1));
}
