//! A worker process, from its model folder to the end of its drain.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use flota_core::{
    Manifest, ModelName, WorkerName,
    consume::{ConsumeSettings, Consumer, WeightedQueue},
    ports::{Throughput, WorkerHeartbeat},
};
use flota_engine::ModelCodes;
use flota_platform::{Platform, settings::Settings, telemetry::Metrics};
use tokio_util::sync::CancellationToken;

use crate::{
    executor::OsExecutor,
    health::Health,
    heartbeat,
    load::{self, Loading, Ready},
    metrics::{self, METRICS},
    pipeline::{Parts, Pipeline},
    ready::{ReadyModel, ReadyReport},
    registering::{self, Refused},
    throughput::ThroughputMeter,
};

/// So many tasks a worker may have in flight however slow its models are.
const MIN_CAPACITY_TASKS: usize = 64;

/// A worker that serves one model, or several that share the fetch and the decode of an image.
pub struct WorkerProcess {
    name: Option<WorkerName>,
    folders: Vec<PathBuf>,
    codes: ModelCodes,
    reports_ready: bool,
}

impl WorkerProcess {
    /// The worker `name` that serves the models in `folders`. One that serves a single model may be
    /// without a name, and has the model's.
    pub fn new(name: Option<WorkerName>, folders: Vec<PathBuf>) -> Self {
        Self { name, folders, codes: ModelCodes::default(), reports_ready: false }
    }

    /// Gives it the code that its models may need: each has that of its own name and revision, and is not served
    /// without.
    #[must_use]
    pub fn with_code(self, codes: ModelCodes) -> Self {
        Self { codes, ..self }
    }

    /// Has it write a [`ReadyReport`] to standard output when it is ready.
    #[must_use]
    pub(crate) fn reporting_ready(mut self) -> Self {
        self.reports_ready = true;
        self
    }

    /// Registers the models and runs their tasks until `stop`, then drains.
    ///
    /// # Errors
    /// If a folder cannot be served, two hold the same model, a version is known with another
    /// digest, the store cannot be reached, or the address for health and metrics is taken.
    pub async fn run(
        self,
        settings: Settings,
        platform: Platform,
        stop: CancellationToken,
    ) -> Result<()> {
        let metrics = Metrics::install()?.with(METRICS);
        let weights_dir = settings.weights_dir();
        let opening = load::open(&self.folders, &weights_dir);
        let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(()) };
        let folders = opened?;
        let worker = match (self.name, folders.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => WorkerName::from(&only.manifest().name),
            (None, _) => return Err(Refused::nameless().into()),
        };
        let loading = Loading {
            worker: &worker,
            settings: &settings,
            codes: self.codes,
            now: platform.clock.now(),
        };
        let ready = load::load(folders, loading, stop.clone()).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let (mut registrations, mut models) = (Vec::new(), Vec::new());
        let mut report = ReadyReport { models: Vec::new() };
        for Ready { registration, loaded } in ready {
            let Manifest { name, version, .. } = &registration.manifest;
            tracing::info!(model = %name, %version, sessions = loaded.sessions.len(),
                threads = loaded.threads, batch_size = loaded.batch_size,
                engine = %loaded.model.runtime(), "model loaded");
            report.models.push(ReadyModel {
                name: name.clone(),
                version: version.clone(),
                engine: loaded.model.runtime().to_string(),
                session_count: loaded.sessions.len(),
                thread_count: loaded.threads,
                batch_size: loaded.batch_size,
            });
            metrics::serve(name);
            warn_of_group(&settings, name, &worker);
            registrations.push(registration);
            models.push(loaded);
        }
        let served = models.iter().map(|loaded| loaded.model.manifest());
        let line = WorkerHeartbeat {
            instance: format!("{worker}-{}", platform.clock.uuid().simple()),
            worker: worker.clone(),
            models: served.map(|model| (model.name.clone(), model.version.clone())).collect(),
            until: platform.clock.now(),
            drained_to: None,
            throughput: Throughput::default(),
        };
        let queue_names = settings.queue_names();
        let queues: Vec<WeightedQueue> = queue_names
            .tasks_of(&worker)
            .map(|(priority, name)| WeightedQueue { name, weight: priority.weight() })
            .collect();
        let consume = settings.queue.consume(queues.clone(), settings.worker.capacity_tasks);
        let consume = ConsumeSettings { min_capacity: MIN_CAPACITY_TASKS, ..consume };
        let throughput = Arc::<ThroughputMeter>::default();
        let pipeline = Pipeline::start(Parts {
            platform: platform.clone(),
            worker: worker.clone(),
            queue_names,
            settings: settings.worker.clone(),
            copied_after: settings.sweeper.resend,
            fetch: settings.fetch.clone(),
            objects: settings.objects.clone(),
            models,
            throughput: Arc::clone(&throughput),
            executor: Arc::new(OsExecutor),
        })?;
        let (tasks, dead_letters) = (platform.queue.clone(), platform.dead_letters.clone());
        let (clock, pipeline) = (platform.clock.clone(), Arc::new(pipeline));
        let consumer = Consumer::new(tasks, dead_letters, clock, consume, pipeline);

        let polls = consumer.health();
        let health = Health { polls: Arc::clone(&polls), metrics, stop: stop.clone() };
        let address = health.serve(settings.worker.listen).await?;
        // Last of all: from then on the models' tasks come to this worker and to no other.
        let superseded = registering::register(&platform, registrations, &queues).await?;
        tracing::info!(%worker, worker.instance = line.instance,
            "worker ready on http://{address}");
        if self.reports_ready {
            report.write();
        }
        let later = registering::take_over_later(platform.clone(), superseded, stop.clone());
        let later = tokio::spawn(later);
        let lifetime = settings.worker.heartbeat;
        let heartbeats = heartbeat::send(platform, line, polls, throughput, lifetime, stop.clone());
        let heartbeats = tokio::spawn(heartbeats);
        consumer.run(stop).await;
        heartbeats.await.context("sending heartbeats")?;
        later.await.context("the taking over of models")?;
        tracing::info!(%worker, "worker drained");
        Ok(())
    }
}

/// A model that is taken out of its group is seldom meant to be.
fn warn_of_group(settings: &Settings, model: &ModelName, worker: &WorkerName) {
    let wanted = settings.models.worker_of(model);
    if wanted != *worker && wanted.as_str() != model.as_str() {
        tracing::warn!(%model, %worker, "`models.groups` has this model served by `{wanted}`");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write,
        time::Duration,
    };

    use flota_core::Sha256;
    use flota_platform::{SystemClock, settings::EngineKind};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::ModelFolder;

    const MEANS: &[u8] = include_bytes!("../../flota-engine/tests/fixtures/means.onnx");
    const MANIFEST: &str = "{name: means, version: '1', weights: {file: means.onnx}, \
        labels: [r, g, b], input: {width: 4, height: 4, resize: {mode: exact}}, \
        output: {name: means, kind: regression}}";

    struct Start {
        folder: TempDir,
        settings: Settings,
        platform: Platform,
        stop: CancellationToken,
    }

    impl Start {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("model.yaml"), MANIFEST).unwrap();
            fs::write(folder.path().join("means.onnx"), MEANS).unwrap();
            let mut settings = Settings::default();
            settings.engine.kind = EngineKind::Tract;
            settings.engine.autotune = Duration::ZERO;
            let store = flota_memory::open(Arc::new(SystemClock));
            let platform = Platform::over(store, &settings, Arc::new(SystemClock)).unwrap();
            Self { folder, settings, platform, stop: CancellationToken::new() }
        }

        fn run(&self) -> impl Future<Output = Result<()>> + Send + use<> {
            let process = WorkerProcess::new(None, vec![self.folder.path().to_owned()]);
            process.run(self.settings.clone(), self.platform.clone(), self.stop.clone())
        }

        async fn workers_alive(&self) -> Option<u32> {
            let now = self.platform.clock.now();
            let known = self.platform.models.get(&"means".parse().unwrap(), now).await.unwrap();
            known.map(|model| model.workers_alive)
        }
    }

    #[tokio::test]
    async fn a_worker_is_known_while_it_runs_and_gone_when_it_has_drained() {
        let start = Start::new();
        let worker = tokio::spawn(start.run());
        while start.workers_alive().await != Some(1) {
            tokio::task::yield_now().await;
        }
        start.stop.cancel();
        worker.await.unwrap().unwrap();
        assert_eq!(start.workers_alive().await, Some(0));
    }

    #[tokio::test]
    async fn a_worker_that_still_loads_stops_when_it_is_told_to() {
        let mut start = Start::new();
        let data = tempfile::tempdir().unwrap();
        start.settings.worker.cache_dir = Some(data.path().to_owned());
        start.settings.engine.autotune = Duration::from_millis(10);
        let autotuning = start.settings.weights_dir().join("autotuning");
        fs::create_dir_all(&autotuning).unwrap();
        let mut lock = File::create(autotuning.join("lock")).unwrap();
        lock.lock().unwrap();
        lock.write_all(b"until another opens it").unwrap();
        let worker = tokio::spawn(start.run());
        while lock.metadata().unwrap().len() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!worker.is_finished(), "another one measures");
        start.stop.cancel();
        worker.await.unwrap().unwrap();
        assert_eq!(start.workers_alive().await, None);
    }

    #[tokio::test]
    async fn a_version_with_other_contents_is_not_served() {
        let start = Start::new();
        let folder = ModelFolder::open(start.folder.path(), start.folder.path()).await.unwrap();
        let worker = WorkerName::from(&folder.manifest().name);
        let mut other = folder.registration(worker, start.platform.clock.now());
        other.digest = Sha256::of(b"other");
        start.platform.models.register(&other).await.unwrap();
        let refusal = format!("{:#}", start.run().await.unwrap_err());
        assert!(refusal.contains("bump the `version`"), "{refusal}");
    }

    #[tokio::test]
    async fn a_model_that_misses_its_golden_examples_is_not_served_unless_it_is_to_be() {
        let mut start = Start::new();
        let golden = start.folder.path().join("golden");
        fs::create_dir(&golden).unwrap();
        let image = include_bytes!("../../flota-engine/tests/fixtures/baseline.jpg");
        fs::write(golden.join("a.jpg"), image).unwrap();
        let score = |label, index| json!({"label": label, "index": index, "score": 7.0});
        let scores = json!([score("r", 0), score("g", 1), score("b", 2)]);
        let output = json!({"kind": "regression", "scores": scores});
        let examples = json!([{"image": "golden/a.jpg", "output": output}]);
        let examples = json!({"tolerance": 1e-3, "examples": examples});
        fs::write(golden.join("examples.json"), examples.to_string()).unwrap();
        let error = start.run().await.unwrap_err();
        assert!(error.downcast_ref::<crate::GoldenMismatch>().is_some(), "{error:#}");
        let refusal = error.to_string();
        for part in ["golden/a.jpg of `means`", "on tract", "instead of 7", "engine.check_golden"] {
            assert!(refusal.contains(part), "{refusal}");
        }
        assert_eq!(start.workers_alive().await, None);
        start.settings.engine.check_golden = false;
        let worker = tokio::spawn(start.run());
        while start.workers_alive().await != Some(1) {
            assert!(!worker.is_finished());
            tokio::task::yield_now().await;
        }
        start.stop.cancel();
        worker.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_said() {
        let mut start = Start::new();
        // Reserved for documentation: no host has it.
        start.settings.worker.listen = "192.0.2.1:9464".parse().unwrap();
        let refusal = format!("{:#}", start.run().await.unwrap_err());
        assert!(refusal.contains("worker.listen"), "{refusal}");
        assert_eq!(start.workers_alive().await, None, "it has not taken its model over");
    }

    #[tokio::test]
    async fn no_model_is_taken_over_where_one_of_them_cannot_be_served() {
        let start = Start::new();
        let other = tempfile::tempdir().unwrap();
        fs::write(
            other.path().join("model.yaml"),
            MANIFEST.replace("name: means, v", "name: twin, v"),
        )
        .unwrap();
        fs::write(other.path().join("means.onnx"), MEANS).unwrap();
        let twin = ModelFolder::open(other.path(), other.path()).await.unwrap();
        let now = start.platform.clock.now();
        let mut known = twin.registration("twin".parse().unwrap(), now);
        known.digest = Sha256::of(b"other");
        start.platform.models.register(&known).await.unwrap();
        let folders = vec![start.folder.path().to_owned(), other.path().to_owned()];
        let process = WorkerProcess::new(Some("photo".parse().unwrap()), folders);
        let run = process.run(start.settings.clone(), start.platform.clone(), start.stop.clone());
        let refusal = format!("{:#}", run.await.unwrap_err());
        assert!(refusal.contains("bump the `version`"), "{refusal}");
        assert_eq!(start.workers_alive().await, None);
    }
}
