//! Answers of DynamoDB that are lost on their way: the call is made again, and what it says is what
//! the first one did.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use flota_core::{
    CallbackAttempt, CallbackState, ClientName, Counts, DeadLetterSelection, Replay, ReplayId,
    ReplayPlan, ReplayProgress, ReplayState, RoundKey, Sha256,
    ports::{Accept, Accepted, IdempotencyKey, ReplayStart},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    account::Account,
    emulator::Emulator,
    samples::{MINUTE, accept, accepted, callback, finish, pack, request, succeeded},
    server::{Reply, Server},
};

/// The calls of which the first answer is lost.
const WRITES: [&str; 4] = ["PutItem", "UpdateItem", "TransactWriteItems", "BatchWriteItem"];

/// An account behind a server that passes on every call, and keeps back the first answer of each
/// write.
async fn account() -> Account {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let server = Server::answering(move |request| {
        let answer = pass_on(request);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let is_write =
            WRITES.iter().any(|call| head.contains(&format!("DynamoDB_20120810.{call}\r")));
        let is_first = is_write && seen.lock().unwrap().insert(body.to_owned());
        Reply::Text(if is_first { String::new() } else { answer })
    })
    .await;
    Account::new(&[("aws.create_missing", "true"), ("aws.endpoint", &server.url("/"))]).await
}

/// What the emulator answers.
fn pass_on(request: &str) -> String {
    let address = Emulator::shared().endpoint().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let closing = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    stream.write_all(closing.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_new() {
    let (store, now) = (account().await.open().await, now());
    let plain = accept(&request(1, now), now + MINUTE);
    assert_eq!(store.requests.accept(&plain).await.unwrap(), Accepted::New);
    let key = |fingerprint: &[u8]| IdempotencyKey {
        client: ClientName::default(),
        key: "order-7".to_owned(),
        fingerprint: Sha256::of(fingerprint),
    };
    let by_key =
        |id, body| Accept { idempotency: Some(key(body)), ..accept(&request(id, now), now) };
    assert_eq!(store.requests.accept(&by_key(2, b"a")).await.unwrap(), Accepted::New);
    let same = Accepted::Same(request(2, now).id);
    assert_eq!(store.requests.accept(&by_key(3, b"a")).await.unwrap(), same);
    assert_eq!(store.requests.accept(&by_key(4, b"b")).await.unwrap(), Accepted::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_goes_its_way() {
    let (store, now) = (account().await.open().await, now());
    let round = accepted(&*store.requests, 1, now).await;
    let recorded = store.requests.record(pack(round, 0), &[succeeded(0, now)]).await.unwrap();
    assert_eq!(recorded.pack.outcomes.len(), 1);
    assert_eq!(
        store
            .requests
            .complete_pack(pack(round, 0), Counts::default())
            .await
            .unwrap()
            .complete
            .len(),
        1
    );
    store.requests.finish(&finish(round, now)).await.unwrap();
    let id = callback(round, now).id;
    let attempt = CallbackAttempt { at: now, status: Some(500), error: None, duration_ms: 1 };
    let claim = now + MINUTE;
    assert_eq!(store.callbacks.claim_due(now, claim, 10).await.unwrap().len(), 1);
    let again = Some(claim + MINUTE);
    let next = (CallbackState::Pending, again);
    store.callbacks.attempted(id, claim, &attempt, next).await.unwrap();
    let callback = store.callbacks.of_request(round.request).await.unwrap().remove(0);
    assert_eq!((callback.attempts, callback.due_at), (vec![attempt], again));
    let second = RoundKey { round: 2, ..round };
    let tasks = BTreeSet::from([3]);
    assert!(store.requests.open_round(second, &tasks, now, now).await.unwrap());
    assert_eq!(store.requests.rounds(round.request).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_the_one_that_was_started() {
    let (store, now) = (account().await.open().await, now());
    let replay = Replay {
        id: ReplayId(Uuid::from_u128(1)),
        model: "cat".parse().unwrap(),
        plan: ReplayPlan {
            selection: DeadLetterSelection::default(),
            limit: None,
            rate_per_second: None,
            to_version: None,
            canary_count: 10,
            max_failed_percent: 20,
        },
        by: "ann".to_owned(),
        created_at: now,
        state: ReplayState::Running,
        progress: ReplayProgress::default(),
        claimed_until: now,
        revision: 0,
    };
    assert_eq!(store.replays.start(&replay).await.unwrap(), ReplayStart::Started);
    let claimed = store.replays.claim(now, now + MINUTE, 1).await.unwrap().remove(0);
    let ended = Replay { state: ReplayState::Completed { at: now }, ..claimed };
    assert!(store.replays.update(&ended).await.unwrap());
}
