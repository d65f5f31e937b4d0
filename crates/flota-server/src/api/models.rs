use std::collections::BTreeMap;

use axum::{Json, extract::State};
use flota_core::{
    Manifest, QueueName, QueueNames, WorkerName,
    ports::{Depth, RegisteredModel, Registration},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::backlog::{Measurement, ModelBacklog};

use super::{
    planned::{MissingWorker, missing},
    problem::{self, Problem},
    schemas,
    state::Api,
};

/// The known models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// By name.
    models: Vec<ModelView>,
    /// The workers of the setting `models.planned` that do not run.
    missing_workers: Vec<MissingWorker>,
}

/// A known model in its current version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
struct ModelView {
    /// Its name.
    name: String,
    /// The current version.
    version: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The digest of weights, labels, pre- and postprocessing.
    digest: String,
    /// The worker that serves it.
    worker: String,
    /// Processes alive that take its tasks, of whichever version they are.
    workers_alive: u32,
    /// The same by the version that they serve.
    alive_by_version: BTreeMap<String, u32>,
    /// About how many messages its worker's queue holds; null where the queue cannot be read.
    #[schema(value_type = Option<schemas::Depth>)]
    queue: Option<Depth>,
    /// The tasks that wait, how fast they come and how fast they are done; null where a queue cannot be read.
    backlog: Option<ModelBacklog>,
    /// When this version was registered.
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
    /// The whole manifest.
    #[schema(value_type = Object)]
    manifest: Manifest,
}

/// Lists the known models, also those of which no worker runs.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    responses(
        (status = 200, description = "The models", body = ModelList),
        (status = "5XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_models(State(api): State<Api>) -> Result<Json<ModelList>, Problem> {
    let Measurement { depths, models: known, mut backlogs } = api.backlogs.measure().await?;
    let missing_workers = missing(&api.settings.models.planned, &known);
    let mut models = Vec::with_capacity(known.len());
    for RegisteredModel { registration, workers_alive, alive_by_version } in known {
        let alive_by_version = alive_by_version.into_iter();
        let Registration { manifest, digest, worker, at, .. } = registration;
        models.push(ModelView {
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            description: manifest.description.clone(),
            digest: digest.to_string(),
            worker: worker.to_string(),
            workers_alive,
            alive_by_version: alive_by_version.map(|(v, count)| (v.0, count)).collect(),
            queue: depth_of(&worker, &api.queue_names, &depths),
            backlog: backlogs.remove(&manifest.name),
            registered_at: at,
            manifest,
        });
    }
    Ok(Json(ModelList { models, missing_workers }))
}

/// What the queues of `worker` hold together; `None` where one of them could not be read.
fn depth_of(
    worker: &WorkerName,
    names: &QueueNames,
    depths: &BTreeMap<QueueName, Option<Depth>>,
) -> Option<Depth> {
    names.tasks_of(worker).try_fold(Depth::default(), |sum, (_, queue)| {
        let depth = depths.get(&queue).copied().flatten()?;
        Some(Depth {
            ready: sum.ready + depth.ready,
            in_flight: sum.in_flight + depth.in_flight,
            delayed: sum.delayed + depth.delayed,
        })
    })
}
