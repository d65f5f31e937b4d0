//! The models that a fleet knows, and the work that waits for them.

use std::collections::BTreeMap;

use flota_core::{Manifest, ModelName, ModelVersion, Sha256, WorkerName, ports::Depth};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[cfg(feature = "openapi")]
use crate::schemas;

/// The known models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelList {
    /// By name.
    pub models: Vec<ModelView>,
    /// The workers of the setting `models.planned` that do not run.
    pub missing_workers: Vec<MissingWorker>,
}

/// A known model in its current version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Model))]
pub struct ModelView {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: ModelName,
    /// The current version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: ModelVersion,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub description: Option<String>,
    /// The digest of weights, labels, pre- and postprocessing.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Sha256,
    /// The worker that serves it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub worker: WorkerName,
    /// Processes alive that take its tasks, of whichever version they are.
    pub workers_alive: u32,
    /// The same by the version that they serve.
    pub alive_by_version: BTreeMap<String, u32>,
    /// About how many messages its worker's queue holds; null where the queue cannot be read.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schemas::Depth>))]
    pub queue: Option<Depth>,
    /// The tasks that wait, how fast they come and how fast they are done; null where a queue cannot be read.
    pub backlog: Option<ModelBacklog>,
    /// When this version was registered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub registered_at: Timestamp,
    /// The whole manifest, as it was written: [`ModelView::manifest`] reads it.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Manifest))]
    pub manifest: Box<RawValue>,
}

/// The work of one model that waits for its worker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Backlog))]
pub struct ModelBacklog {
    /// Tasks without an outcome: those that wait, wait to be tried again, or are in flight. Those on queues of
    /// workers that served the model before count too. Exact on one machine; on SQS, which counts messages,
    /// an estimate by how many tasks its messages held lately.
    pub tasks: u64,
    /// Age of the oldest message that waits, in seconds; null where none does. On SQS it is known by what the
    /// workers receive.
    pub oldest_age_seconds: Option<f64>,
    /// Tasks that arrive each second, about the last minute's mean; null until it was measured twice.
    pub arrival_per_second: Option<f64>,
    /// Tasks that its workers end in each second in which they have some, by the last minute.
    pub service_per_second: f64,
    /// Seconds until the tasks that wait now are done, at this rate; null where none is done.
    pub drain_seconds: Option<f64>,
}

/// A worker that is to run and does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingWorker {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub worker: WorkerName,
    /// The models that it is to serve.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub models: Vec<ModelName>,
    /// What is missing, in a sentence.
    pub reason: String,
}

impl ModelView {
    /// Reads the manifest.
    ///
    /// # Errors
    /// If it has keys that this version does not know.
    pub fn manifest(&self) -> serde_json::Result<Manifest> {
        serde_json::from_str(self.manifest.get())
    }
}
