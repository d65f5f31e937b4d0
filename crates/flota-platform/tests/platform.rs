//! The platform, opened as a process opens it.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use flota_core::{
    CallbackState, Code, Counts, Ending, RequestId, RoundKey, TaskSource, TasksMessage,
    ports::{Clock, Images},
};
use flota_memory::ManualClock;
use flota_platform::{OpenError, Platform, settings::Settings};

fn settings(data_dir: &Path) -> Settings {
    Settings { data_dir: data_dir.to_owned(), ..Settings::default() }
}

/// Sees that `images` keeps what is uploaded and leads other addresses past the policy.
async fn check_images(images: &dyn Images) {
    let sha256 = images.put("uploaded".into()).await.unwrap();
    let fetched = images.fetch(&format!("flota://sha256/{sha256}"), 100).await.unwrap();
    assert_eq!(fetched.as_ref(), b"uploaded");
    let forbidden = images.fetch("http://127.0.0.1:9/", 100).await.unwrap_err();
    assert_eq!(forbidden.code, Code::FetchForbiddenAddress);
}

#[tokio::test]
async fn the_embedded_platform_opens_its_data_folder_and_opens_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("made/by/opening");
    for _ in 0..2 {
        let platform = Platform::open(&settings(&data_dir)).await.unwrap();
        check_images(platform.images.as_ref()).await;
    }
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("file");
    fs::write(&taken, "not a folder").unwrap();
    let Err(error) = Platform::open(&settings(&taken)).await else {
        panic!("a file was taken for a folder");
    };
    assert!(matches!(error, OpenError::Store(_)), "{error:?}");
    assert!(error.to_string().contains(taken.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn the_memory_platform_runs_on_the_clock_it_is_given() {
    let clock = Arc::new(ManualClock::new(1));
    let store = flota_memory::open(clock.clone());
    let platform = Platform::over(store, &Settings::default(), clock.clone()).unwrap();
    assert_eq!(platform.clock.now(), clock.now());
    check_images(platform.images.as_ref()).await;
}

/// Of commit 331f70c: its `flota up` ran image-quality for a request with a callback that was delivered, and for one
/// whose receiver is down; then its `flota serve` accepted a request that no worker has taken.
const RECORDS_331F70C: &str = include_str!("data_331f70c/records.sql");
const QUEUE_331F70C: &str = include_str!("data_331f70c/queue.sql");

#[tokio::test]
async fn a_data_folder_of_331f70c_opens_with_all_that_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    for (name, sql) in [("records.sqlite", RECORDS_331F70C), ("queue.sqlite", QUEUE_331F70C)] {
        let database = rusqlite::Connection::open(dir.path().join(name)).unwrap();
        database.execute_batch(sql).unwrap();
    }
    let platform = Platform::open(&settings(dir.path())).await.unwrap();

    let ids = ["req_01a22eff174a7dbe9c1c53a437826545", "req_01a22eff234778a3996be6c335e24d8c"];
    let states = [CallbackState::Delivered, CallbackState::Pending];
    for (id, state) in ids.into_iter().zip(states) {
        let id: RequestId = id.parse().unwrap();
        let request = platform.requests.request(id).await.unwrap().unwrap();
        let key = RoundKey { request: id, round: 1 };
        let outcomes = platform.requests.outcomes(key, &request.packs()).await.unwrap();
        assert_eq!(outcomes.len(), request.task_count() as usize, "{outcomes:?}");
        let Ending::Succeeded { prediction, .. } = &outcomes[0].outcome.ending else {
            panic!("{:?}", outcomes[0]);
        };
        let predictions = platform.predictions.get(std::slice::from_ref(prediction)).await.unwrap();
        assert_eq!(predictions.len(), 1);
        let callbacks = platform.callbacks.of_request(id).await.unwrap();
        assert_eq!((callbacks.len(), callbacks[0].state), (1, state));
    }

    let open: RequestId = "req_01a22eff9e95713aa8834c93890e871b".parse().unwrap();
    let request = platform.requests.request(open).await.unwrap().unwrap();
    let key = RoundKey { request: open, round: 1 };
    let counts = platform.requests.counts(key, &request.packs()).await.unwrap();
    assert_eq!(counts, Counts::all_open(1));
    let model = request.routes[0].model.clone();
    let known = platform.models.get(&model, platform.clock.now()).await.unwrap().unwrap();
    let queue = settings(dir.path()).queue_names();
    let queue = queue.tasks_of(&known.registration.worker).next().unwrap().1;
    let (wait, lease) = (Duration::ZERO, Duration::from_secs(30));
    let received = platform.queue.receive(&queue, 10, wait, lease).await.unwrap();
    let message = TasksMessage::decode(&received[0].body).unwrap();
    assert_eq!((message.source, message.tasks.len()), (TaskSource::Request(open), 1));
}
