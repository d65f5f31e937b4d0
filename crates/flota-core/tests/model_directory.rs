//! How often the registered models are read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use flota_core::{
    Manifest, ModelDirectory, ModelName, Sha256, WorkerName,
    ports::{Clock, Models, Registration},
};
use flota_memory::SeededClock;
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
