//! How often the registered models are read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    Manifest, ModelDirectory, ModelName, ModelVersion, PortError, PortResult, Sha256, WorkerName,
    ports::{Clock, Models, RegisteredModel, Registration, RegistrationOutcome, WorkerHeartbeat},
};
use flota_memory::SeededClock;
use futures::future::join_all;
use jiff::Timestamp;
use tokio::time;

struct Fleet {
    models: Arc<dyn Models>,
    clock: Arc<dyn Clock>,
    directory: ModelDirectory,
}

impl Fleet {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SeededClock::new(1));
        let models = flota_memory::open(clock.clone()).models;
        let directory = ModelDirectory::new(models.clone(), clock.clone());
        Self { models, clock, directory }
    }

    async fn register(&self, model: &str, version: &str, worker: &str) {
        let manifest = format!(
            "{{name: {model}, version: '{version}', weights: {{file: model.onnx}}, labels: [a, b], \
             input: {{width: 8, height: 8, resize: {{mode: exact}}}}, output: {{kind: softmax}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &manifest).unwrap();
        let (worker, at) = (worker.parse().unwrap(), self.clock.now());
        let registration = Registration::new(manifest, Sha256::of(b""), worker, at);
        self.models.register(&registration).await.unwrap();
    }

    async fn worker_of(&self, model: &str) -> Option<String> {
        let known = self.directory.get(&model.parse().unwrap()).await.unwrap();
        known.map(|known| known.registration.worker.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_read_each_second_and_what_is_not_at_once() {
    let fleet = Fleet::new();
    fleet.register("cat", "1", "cat").await;
    assert_eq!(fleet.worker_of("cat").await.as_deref(), Some("cat"));
    fleet.register("cat", "1", "photo").await;
    assert_eq!(fleet.worker_of("cat").await.as_deref(), Some("cat"));
    assert_eq!(fleet.worker_of("bird").await, None);
    fleet.register("bird", "1", "bird").await;
    assert_eq!(fleet.worker_of("bird").await.as_deref(), Some("bird"));
    fleet.register("cat", "1", "other").await;
    assert_eq!(fleet.worker_of("cat").await.as_deref(), Some("photo"), "read with the bird");
    time::advance(Duration::from_secs(1)).await;
    assert_eq!(fleet.worker_of("cat").await.as_deref(), Some("other"));
    fleet.register("cat", "2", "other").await;
    let cat: ModelName = "cat".parse().unwrap();
    let version =
        async || fleet.directory.known().await.unwrap().version(&cat).unwrap().to_string();
    assert_eq!(version().await, "1");
    let now = fleet.directory.known_now().await.unwrap();
    assert_eq!(now.version(&cat).unwrap().to_string(), "2");
    assert_eq!(version().await, "2");
}

#[tokio::test(start_paused = true)]
async fn former_workers_are_known_as_long_as_messages_may_lie_on_their_queues() {
    let fleet = Fleet::new();
    for worker in ["photo", "cat"] {
        fleet.register("cat", "1", worker).await;
    }
    fleet.register("dog", "1", "dog").await;
    let names =
        |workers: Vec<&WorkerName>| workers.iter().map(|it| it.to_string()).collect::<Vec<_>>();
    let known = fleet.directory.known_now().await.unwrap();
    let now = fleet.clock.now();
    assert_eq!(names(known.workers().into_iter().collect()), ["cat", "dog", "photo"]);
    assert_eq!(names(known.former_workers(now).into_iter().collect()), ["photo"]);
    let late = now + flota_core::limits::MAX_MESSAGE_AGE;
    assert!(known.former_workers(late).is_empty());
    fleet.register("bird", "1", "photo").await;
    let known = fleet.directory.known_now().await.unwrap();
    assert!(known.former_workers(now).is_empty(), "it serves another model");
    let routes = known.routes();
    assert_eq!(
        routes.iter().map(|it| it.model.as_str()).collect::<Vec<_>>(),
        ["bird", "cat", "dog"]
    );
}

/// A store that answers each read after a second, with an error.
#[derive(Default)]
struct Failing {
    read_count: AtomicU32,
}

#[async_trait]
impl Models for Failing {
    async fn list(&self, _: Timestamp) -> PortResult<Vec<RegisteredModel>> {
        self.read_count.fetch_add(1, Ordering::Relaxed);
        time::sleep(Duration::from_secs(1)).await;
        Err(PortError::transient("reading the models", "no answer"))
    }

    async fn register(&self, _: &Registration) -> PortResult<RegistrationOutcome> {
        unimplemented!()
    }

    async fn is_registered(&self, _: &ModelName, _: &ModelVersion) -> PortResult<bool> {
        unimplemented!()
    }

    async fn alive(&self, _: &WorkerHeartbeat) -> PortResult<()> {
        unimplemented!()
    }

    async fn gone(&self, _: &str) -> PortResult<()> {
        unimplemented!()
    }

    async fn workers(&self, _: Timestamp) -> PortResult<Vec<WorkerHeartbeat>> {
        unimplemented!()
    }

    async fn get(&self, _: &ModelName, _: Timestamp) -> PortResult<Option<RegisteredModel>> {
        unimplemented!()
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_for_a_store_that_fails_share_its_errors() {
    let models = Arc::new(Failing::default());
    let directory = ModelDirectory::new(models.clone(), Arc::new(SeededClock::new(1)));
    let begun = time::Instant::now();
    let known = join_all((0..50).map(|_| directory.known())).await;
    assert!(known.iter().all(Result::is_err));
    // The first one's, and one that began after the others asked.
    assert_eq!(models.read_count.load(Ordering::Relaxed), 2);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert!(directory.known().await.is_err(), "it is asked again");
    assert_eq!(models.read_count.load(Ordering::Relaxed), 3);
}
