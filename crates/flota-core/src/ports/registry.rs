use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Manifest, ModelName, ModelVersion, PortResult, Sha256, WorkerName};

/// The models that are known, so that names can be checked even when no worker runs.
#[async_trait]
pub trait Models: Send + Sync {
    /// Makes a model known and its version the current one. The same version with another digest
    /// is refused, unless it ends in `-dev`; with the same one, the time of its first registration
    /// is kept.
    async fn register(&self, registration: &Registration) -> PortResult<RegistrationOutcome>;

    /// Refreshes a worker's line of life.
    async fn alive(&self, line: &WorkerLine) -> PortResult<()>;

    /// Ends a worker's line of life.
    async fn gone(&self, instance: &str) -> PortResult<()>;

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
    /// When it was registered.
    pub at: Timestamp,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The model is known, and this version is the current one.
    Registered,
    /// The version is known with this other digest.
    Conflict(Sha256),
}

/// A sign of life of one worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLine {
    /// Which process.
    pub instance: String,
    /// Which worker it is of.
    pub worker: WorkerName,
    /// The models and versions it serves.
    pub models: Vec<(ModelName, ModelVersion)>,
    /// When it is to be taken for dead.
    pub until: Timestamp,
}

/// A known model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// As it was registered.
    #[serde(flatten)]
    pub registration: Registration,
    /// Workers alive that serve it.
    pub workers_alive: u32,
}
