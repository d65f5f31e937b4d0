use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Manifest, ModelName, ModelVersion, PortResult, Sha256, WorkerName, limits::MAX_MESSAGE_AGE,
};

/// The models that are known, so that names can be checked even when no worker runs.
#[async_trait]
pub trait Models: Send + Sync {
    /// Makes a model known and its version the current one. The same version with another digest
    /// is refused, unless it ends in `-dev`; with the same one, the time of its first registration
    /// is kept.
    async fn register(&self, registration: &Registration) -> PortResult<RegistrationOutcome>;

    /// Whether this version of the model was ever registered.
    async fn is_registered(&self, name: &ModelName, version: &ModelVersion) -> PortResult<bool>;

    /// Refreshes a worker's heartbeat.
    async fn alive(&self, line: &WorkerHeartbeat) -> PortResult<()>;

    /// Ends a worker's heartbeat.
    async fn gone(&self, instance: &str) -> PortResult<()>;

    /// The workers that are alive at `now`.
    async fn workers(&self, now: Timestamp) -> PortResult<Vec<WorkerHeartbeat>>;

    /// The current version of every model, by name, with the workers alive at `now`.
    async fn list(&self, now: Timestamp) -> PortResult<Vec<RegisteredModel>>;

    /// The current version of one model, if it is known.
    async fn get(&self, name: &ModelName, now: Timestamp) -> PortResult<Option<RegisteredModel>>;
}

/// A model to make known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// Its manifest.
    pub manifest: Manifest,
    /// The digest of weights, labels, pre- and post-processing.
    pub digest: Sha256,
    /// The worker that serves it.
    pub worker: WorkerName,
    /// The workers that served it before, each with the time until which it did. Tasks may lie on
    /// their queues still.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former_workers: BTreeMap<WorkerName, Timestamp>,
    /// When it was registered.
    pub at: Timestamp,
}

/// Who served a model so far: what is read of an earlier [`Registration`], whose manifest need not
/// be readable any more.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    /// Its worker.
    pub worker: WorkerName,
    /// Those before it.
    #[serde(default)]
    pub former_workers: BTreeMap<WorkerName, Timestamp>,
}

impl Registration {
    /// A model that `worker` serves from `at` on.
    pub fn new(manifest: Manifest, digest: Sha256, worker: WorkerName, at: Timestamp) -> Self {
        Self { manifest, digest, worker, former_workers: BTreeMap::new(), at }
    }

    /// The workers on whose queues tasks of the model may lie: who serves it, and who did.
    pub fn workers(&self) -> impl Iterator<Item = &WorkerName> {
        self.former_workers.keys().chain([&self.worker])
    }

    /// Remembers who served the model before, but for those on whose queues nothing can lie any more.
    pub fn follow(&mut self, earlier: Service) {
        self.former_workers = earlier.former_workers;
        if earlier.worker != self.worker {
            self.former_workers.insert(earlier.worker, self.at);
        }
        let is_kept = |until: Timestamp| self.at.duration_since(until) < MAX_MESSAGE_AGE;
        self.former_workers.retain(|worker, until| *worker != self.worker && is_kept(*until));
    }
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The model is known, and this version is the current one.
    Registered,
    /// The version is known with this other digest.
    Conflict(Sha256),
}

/// A heartbeat of one worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerHeartbeat {
    /// Which process.
    pub instance: String,
    /// Which worker it is of.
    pub worker: WorkerName,
    /// The models and versions it serves.
    pub models: Vec<(ModelName, ModelVersion)>,
    /// When it is to be taken for dead.
    pub until: Timestamp,
    /// What was sent to the worker's queue before was received by somebody, as far as this process
    /// can tell from what it receives; `None` before its first poll.
    pub drained_to: Option<Timestamp>,
    /// What the process did lately.
    pub throughput: Throughput,
}

/// What a worker process did in the last minute, or since it began where that is less.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Throughput {
    /// How long that is; 0 before there is anything to say.
    pub window_ms: u64,
    /// So much of it the process had tasks in flight.
    pub busy_ms: u64,
    /// Messages received, each once for each delivery.
    pub messages: u64,
    /// Tasks received in them, by model.
    pub received: BTreeMap<ModelName, u64>,
    /// Tasks that ended, and of which that is durable, by model.
    pub ended: BTreeMap<ModelName, u64>,
}

/// A known model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// As it was registered.
    #[serde(flatten)]
    pub registration: Registration,
    /// Workers alive that take its tasks, of whichever version they are.
    pub workers_alive: u32,
    /// The same by the version that they serve.
    #[serde(default)]
    pub alive_by_version: BTreeMap<ModelVersion, u32>,
}

impl RegisteredModel {
    /// A model whose tasks are taken by so many workers of each version.
    pub fn new(registration: Registration, alive_by_version: BTreeMap<ModelVersion, u32>) -> Self {
        let workers_alive = alive_by_version.values().fold(0, |sum: u32, n| sum.saturating_add(*n));
        Self { registration, workers_alive, alive_by_version }
    }

    /// A model with those of `lines`, all alive, that take its tasks.
    pub fn with_lines<'l>(
        registration: Registration,
        lines: impl IntoIterator<Item = &'l WorkerHeartbeat>,
    ) -> Self {
        let mut by_version = BTreeMap::new();
        for line in lines.into_iter().filter(|line| line.worker == registration.worker) {
            let served = line.models.iter().filter(|(name, _)| *name == registration.manifest.name);
            for (_, version) in served {
                *by_version.entry(version.clone()).or_insert(0) += 1;
            }
        }
        Self::new(registration, by_version)
    }

    /// Whether a worker of the current version is alive.
    pub fn is_current_alive(&self) -> bool {
        self.alive_by_version.contains_key(&self.registration.manifest.version)
    }
}
