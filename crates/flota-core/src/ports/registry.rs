use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Manifest, ModelName, ModelVersion, PortResult, Sha256, WorkerName, limits::MAX_MESSAGE_AGE,
};

/// The registry of models and workers. It knows a model even if no worker runs.
#[async_trait]
pub trait Models: Send + Sync {
    /// Registers a model and makes its version the current one. A registered version with another
    /// digest is rejected, unless it ends in `-dev`. Registering the same digest again keeps the
    /// time of the first registration.
    async fn register(&self, registration: &Registration) -> PortResult<RegistrationOutcome>;

    /// Whether this version of the model was ever registered.
    async fn is_registered(&self, name: &ModelName, version: &ModelVersion) -> PortResult<bool>;

    /// Records a worker's heartbeat.
    async fn alive(&self, line: &WorkerHeartbeat) -> PortResult<()>;

    /// Deletes a worker's heartbeat, because its process stops.
    async fn gone(&self, instance: &str) -> PortResult<()>;

    /// Reads the heartbeats of the workers that are alive at `now`.
    async fn workers(&self, now: Timestamp) -> PortResult<Vec<WorkerHeartbeat>>;

    /// Reads the current version of every model, by name, and counts its workers that are alive at
    /// `now`.
    async fn list(&self, now: Timestamp) -> PortResult<Vec<RegisteredModel>>;

    /// Reads the current version of a model; `None` if it was never registered.
    async fn get(&self, name: &ModelName, now: Timestamp) -> PortResult<Option<RegisteredModel>>;
}

/// A model to register.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The manifest.
    pub manifest: Manifest,
    /// The digest of weights, labels, pre- and post-processing.
    pub digest: Sha256,
    /// The worker that serves the model.
    pub worker: WorkerName,
    /// The workers that served the model before, each with the time until which it did. Their
    /// queues may still hold tasks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former_workers: BTreeMap<WorkerName, Timestamp>,
    /// When the version was registered.
    pub at: Timestamp,
}

/// The workers of an earlier [`Registration`]. They can be read even if its manifest cannot.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    /// The worker that served the model.
    pub worker: WorkerName,
    /// The workers that served it before.
    #[serde(default)]
    pub former_workers: BTreeMap<WorkerName, Timestamp>,
}

impl Registration {
    /// A model that `worker` serves from `at`.
    pub fn new(manifest: Manifest, digest: Sha256, worker: WorkerName, at: Timestamp) -> Self {
        Self { manifest, digest, worker, former_workers: BTreeMap::new(), at }
    }

    /// The workers whose queues may hold tasks of the model: the current one and former ones.
    pub fn workers(&self) -> impl Iterator<Item = &WorkerName> {
        self.former_workers.keys().chain([&self.worker])
    }

    /// Adds the workers of an earlier registration, except for those whose queues cannot hold tasks
    /// any more.
    pub fn follow(&mut self, earlier: Service) {
        self.former_workers = earlier.former_workers;
        if earlier.worker != self.worker {
            self.former_workers.insert(earlier.worker, self.at);
        }
        let is_kept = |until: Timestamp| self.at.duration_since(until) < MAX_MESSAGE_AGE;
        self.former_workers.retain(|worker, until| *worker != self.worker && is_kept(*until));
    }
}

/// The result of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The version was registered and is the current one.
    Registered,
    /// The version exists with this digest.
    Conflict(Sha256),
}

/// The heartbeat of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerHeartbeat {
    /// The id of the process.
    pub instance: String,
    /// The worker that the process belongs to.
    pub worker: WorkerName,
    /// The models that it serves, with their versions.
    pub models: Vec<(ModelName, ModelVersion)>,
    /// When the process is taken for dead.
    pub until: Timestamp,
    /// All messages that were sent to the worker's queues before this time have been received by
    /// some process, as far as this one can tell. `None` before its first poll.
    pub drained_to: Option<Timestamp>,
    /// What the process did recently.
    pub throughput: Throughput,
}

/// What a worker process did in the last minute, or since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Throughput {
    /// Length of the window in milliseconds; 0 if nothing was measured yet.
    pub window_ms: u64,
    /// How long the process had tasks in flight in the window, in milliseconds.
    pub busy_ms: u64,
    /// Deliveries of messages.
    pub messages: u64,
    /// Tasks in these deliveries, by model.
    pub received: BTreeMap<ModelName, u64>,
    /// Tasks that ended with a durable result, by model.
    pub ended: BTreeMap<ModelName, u64>,
}

/// A registered model, and its workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// The registration.
    #[serde(flatten)]
    pub registration: Registration,
    /// The number of live workers that take its tasks, in any version.
    pub workers_alive: u32,
    /// The number of live workers by the version that they serve.
    #[serde(default)]
    pub alive_by_version: BTreeMap<ModelVersion, u32>,
}

impl RegisteredModel {
    /// A model with the number of live workers of each version.
    pub fn new(registration: Registration, alive_by_version: BTreeMap<ModelVersion, u32>) -> Self {
        let workers_alive = alive_by_version.values().fold(0, |sum: u32, n| sum.saturating_add(*n));
        Self { registration, workers_alive, alive_by_version }
    }

    /// A model with the heartbeats `lines`, all of live workers. Those of other workers are
    /// ignored.
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

    /// Whether a worker with the current version is alive.
    pub fn is_current_alive(&self) -> bool {
        self.alive_by_version.contains_key(&self.registration.manifest.version)
    }
}
