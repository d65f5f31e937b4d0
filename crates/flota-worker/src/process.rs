//! A worker process, from its model folder to the end of its drain.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use flota_core::{
    WorkerName,
    consume::{ConsumeSettings, Consumer},
    ports::{Registration, RegistrationOutcome, WorkerLine},
};
use flota_engine::{Model, Session};
use flota_platform::{Platform, settings::Settings, telemetry::Metrics};
use tokio::task;
use tokio_util::sync::CancellationToken;

use crate::{
    BeforeInfer, Engines, ModelFolder,
    calibration::Calibration,
    health::Health,
    life,
    pipeline::{Parts, Pipeline, tasks_queue, thread_count},
};

/// A worker that serves one model.
pub struct WorkerProcess {
    folder: PathBuf,
    before_infer: Option<BeforeInfer>,
}

impl WorkerProcess {
    /// A worker that serves the model in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, before_infer: None }
    }

    /// Has `hook` called with each image before it is inferred, for tests of crashes.
    #[must_use]
    pub fn before_infer(mut self, hook: BeforeInfer) -> Self {
        self.before_infer = Some(hook);
        self
    }

    /// Registers the model and runs its tasks until `stop`, then drains.
    ///
    /// # Errors
    /// If the folder cannot be served, the version is known with another digest, the store cannot
    /// be reached, or the address for health and metrics is taken.
    pub async fn run(
        self,
        settings: Settings,
        platform: Platform,
        stop: CancellationToken,
    ) -> Result<()> {
        let metrics = Metrics::install()?;
        let weights_dir = settings.weights_dir();
        let opening = ModelFolder::open(&self.folder, &weights_dir);
        let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(()) };
        let folder = opened?;
        let worker = WorkerName::from(&folder.manifest().name);
        let registration = folder.registration(worker.clone(), platform.clock.now());
        let engines = Engines::open(&settings.engine)?;
        let (digest, time) = (registration.digest, settings.engine.calibrate);
        let calibrations = weights_dir.join("calibrations");
        let loading = task::spawn_blocking(move || {
            let model = folder.load(&engines)?;
            let found = Calibration::of(&model, digest, &calibrations, time)?;
            anyhow::Ok((Arc::new(model), found))
        });
        let (model, calibration) = loading.await.context("loading the model")??;
        register(&platform, &registration).await?;

        let infer_threads = thread_count(settings.worker.infer_threads);
        let pipeline = Pipeline::start(Parts {
            platform: platform.clone(),
            prefix: settings.prefix.clone(),
            settings: settings.worker.clone(),
            objects: settings.objects.clone(),
            sessions: sessions(&model, infer_threads)?,
            batch_size: calibration.batch_size,
            model: Arc::clone(&model),
            before_infer: self.before_infer,
        })?;
        let manifest = model.manifest();
        let consume = consume_settings(&settings, &model);
        let queue = consume.queue.clone();
        let clock = Arc::clone(&platform.clock);
        let consumer =
            Consumer::new(Arc::clone(&platform.queue), clock, consume, Arc::new(pipeline));

        let health = Health { polls: consumer.health(), metrics, stop: stop.clone() };
        let address = health.serve(settings.worker.listen).await?;
        let line = WorkerLine {
            instance: format!("{worker}-{}", platform.clock.uuid().simple()),
            worker,
            models: vec![(manifest.name.clone(), manifest.version.clone())],
            until: platform.clock.now(),
        };
        tracing::info!(
            model = %manifest.name, version = %manifest.version, queue = %queue,
            worker.instance = line.instance, infer_threads, batch_size = calibration.batch_size,
            engine = %model.runtime(), "worker ready on http://{address}"
        );
        let life = tokio::spawn(life::keep(platform, line, settings.worker.life, stop.clone()));
        consumer.run(stop).await;
        life.await.context("the line of life")?;
        tracing::info!(queue = %queue, "worker drained");
        Ok(())
    }
}

async fn register(platform: &Platform, registration: &Registration) -> Result<()> {
    let manifest = &registration.manifest;
    let (name, version) = (&manifest.name, &manifest.version);
    let outcome = platform.models.register(registration).await;
    match outcome.with_context(|| format!("registering the model {name}"))? {
        RegistrationOutcome::Registered => Ok(()),
        RegistrationOutcome::Conflict(known) => bail!(
            "version {version} of {name} is known with other contents (digest {known}, this one \
             has {}): bump the `version` in its manifest, or end it in `-dev` while you try things \
             out",
            registration.digest
        ),
    }
}

fn sessions(model: &Model, count: usize) -> Result<Vec<Box<dyn Session>>> {
    let sessions = (0..count).map(|_| model.session()).collect::<Result<_, _>>();
    sessions.context("setting up the engine")
}

fn consume_settings(settings: &Settings, model: &Model) -> ConsumeSettings {
    let worker = &settings.worker;
    ConsumeSettings {
        queue: tasks_queue(&settings.prefix, model.manifest()),
        capacity: worker.capacity_tasks,
        lease: worker.lease,
        max_lease: worker.max_lease,
        wait: settings.queue.poll_wait,
        drain: worker.drain,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, time::Duration};

    use flota_core::Sha256;
    use flota_platform::{SystemClock, settings::EngineKind};
    use tempfile::TempDir;

    use super::*;

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
            settings.engine.calibrate = Duration::ZERO;
            let platform = Platform::memory(&settings, Arc::new(SystemClock)).unwrap();
            Self { folder, settings, platform, stop: CancellationToken::new() }
        }

        fn run(&self) -> impl Future<Output = Result<()>> + Send + use<> {
            let process = WorkerProcess::new(self.folder.path().to_owned());
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
    async fn a_taken_port_is_said() {
        let mut start = Start::new();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        start.settings.worker.listen = taken.local_addr().unwrap();
        let refusal = format!("{:#}", start.run().await.unwrap_err());
        assert!(refusal.contains("worker.listen"), "{refusal}");
        assert_eq!(start.workers_alive().await, Some(0));
    }
}
