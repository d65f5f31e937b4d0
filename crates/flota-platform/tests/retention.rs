//! A data folder that is used day after day with retention keeps its size.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{path::Path, sync::Arc, time::Duration};

use flota_core::{
    ClientName, Counts, Ending, ImageFacts, ImageRef, LabelScore, ModelVersion, Outcome, Output,
    PackKey, Prediction, PredictionKey, Priority, Request, RequestId, RoundKey, Route, Sha256,
    TaskOutcome, Timings,
    ports::{Accept, Clock, Finish, Store, StoredKind},
};
use flota_memory::ManualClock;
use flota_platform::embedded;
use strum::IntoEnumIterator;
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Tasks of a day, in requests of twenty.
const REQUESTS: u128 = 200;
const DAYS: u128 = 6;
/// More steps than the database ever needs to shrink.
const MAX_SHRINKS: usize = 10_000;

/// A request of twenty images that all succeed.
async fn finished(store: &Store, id: u128, clock: &ManualClock) {
    let now = clock.now();
    let model: flota_core::ModelName = "cat".parse().unwrap();
    let image = |n: u32| ImageRef { url: format!("https://images.example/{id}/{n}.jpg"), id: None };
    let request = Request {
        id: RequestId(Uuid::from_u128(id)),
        client: ClientName::default(),
        images: (0..20).map(image).collect(),
        routes: vec![Route { model: model.clone(), worker: "cat".parse().unwrap() }],
        callback: None,
        priority: Priority::Normal,
        metadata: None,
        created_at: now,
    };
    let round = RoundKey { request: request.id, round: 1 };
    let key = |n: u32| PredictionKey {
        sha256: Sha256::of(request.images[n as usize].url.as_bytes()),
        model: model.clone(),
        version: ModelVersion("1".to_owned()),
    };
    let scores = ["good", "bad", "ugly"].into_iter().zip(0..).map(|(label, index)| LabelScore {
        label: label.into(),
        index,
        score: 0.3,
        flagged: None,
        advice: None,
    });
    let output = Output::Softmax { scores: scores.collect() };
    let prediction = |n: u32| Prediction {
        key: key(n),
        output: output.clone(),
        image: ImageFacts {
            width: 640,
            height: 480,
            format: "jpeg".to_owned(),
            size_bytes: 100_000,
            flags: Vec::new(),
        },
        computed_at: now,
    };
    let outcome = |n: u32| TaskOutcome {
        n,
        outcome: Outcome {
            ending: Ending::Succeeded { prediction: key(n), cached: false },
            attempts: 1,
            timings: Timings { fetch_ms: Some(12.5), infer_ms: Some(1.5), ..Timings::default() },
            ended_at: now,
        },
    };
    let predictions: Vec<_> = (0..20).map(prediction).collect();
    let outcomes: Vec<_> = (0..20).map(outcome).collect();
    store.requests.accept(&Accept { request, due_at: now, idempotency: None }).await.unwrap();
    store.predictions.put(&predictions).await.unwrap();
    store.requests.record(PackKey { round, pack: 0 }, &outcomes).await.unwrap();
    store.requests.complete_pack(PackKey { round, pack: 0 }, Counts::default()).await.unwrap();
    let finish = Finish { key: round, at: now, callback: None };
    store.requests.finish(&finish).await.unwrap();
}

/// Deletes what is older than a day, as the server does; the most that one step deleted.
async fn retain(store: &Store, clock: &ManualClock) -> u64 {
    let retention = store.retention.as_ref().unwrap();
    let before = clock.now() - DAY;
    let mut most = 0;
    for kind in StoredKind::iter() {
        let mut after = None;
        loop {
            let step = retention.delete(kind, before, after.as_deref()).await.unwrap();
            most = most.max(step.count);
            assert!(step.next.is_none() || step.next != after, "{kind}: it does not go on");
            after = step.next;
            if after.is_none() {
                break;
            }
        }
    }
    for _ in 0..MAX_SHRINKS {
        if retention.shrink().await.unwrap() == 0 {
            return most;
        }
    }
    panic!("the database shrinks without an end");
}

/// The bytes of the file's pages, whether they are in the file or in its log.
fn size_bytes(folder: &Path) -> u64 {
    let file = rusqlite::Connection::open(folder.join("records.sqlite")).unwrap();
    let number =
        |pragma| file.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0)).unwrap();
    number("page_count") * number("page_size")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_used_every_day_keeps_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1));
    let store = embedded::open(folder.path(), clock.clone()).unwrap();
    let mut sizes = Vec::new();
    for day in 0..DAYS {
        let ids = day * REQUESTS + 1..=(day + 1) * REQUESTS;
        futures::future::join_all(ids.map(|id| finished(&store, id, &clock))).await;
        let most = retain(&store, &clock).await;
        assert!(most <= 500, "one step deleted {most}");
        sizes.push(size_bytes(folder.path()));
        clock.advance(DAY + Duration::from_secs(1));
    }
    let bytes_per_task = sizes[0] / (REQUESTS as u64 * 20);
    println!("{bytes_per_task} bytes a task; after each day: {sizes:?}");
    // A step returns a mebibyte or nothing, so that sizes differ by about as much. Six days would take six
    // times the first.
    let most = |sizes: &[u64]| sizes.iter().copied().max().unwrap();
    let (early, late) = (most(&sizes[1..3]), most(&sizes[3..]));
    assert!(late <= early + (1 << 20) + early / 20, "it grows: {sizes:?}");
    assert!(early <= 2 * sizes[0], "more than two days are there: {sizes:?}");
    // Without new work all of it goes, and the file shrinks.
    clock.advance(2 * DAY);
    retain(&store, &clock).await;
    retain(&store, &clock).await;
    let empty = size_bytes(folder.path());
    // Less than a mebibyte is not worth returning.
    assert!(empty < sizes[0] / 2, "{empty} of {sizes:?}");
}
