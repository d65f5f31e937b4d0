use std::collections::BTreeMap;

use axum::{Json, extract::State};
use flota_api::{ModelList, ModelView};
use flota_core::{
    QueueName, QueueNames, WorkerName,
    ports::{Depth, RegisteredModel, Registration},
};
use serde_json::value::to_raw_value;

use super::{planned::missing, problem::Problem, state::Api};
use crate::backlog::Measurement;

/// Lists the registered models, including those without a running worker.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    responses(
        (status = 200, description = "The models", body = ModelList),
        (status = "5XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_models(State(api): State<Api>) -> Result<Json<ModelList>, Problem> {
    let Measurement { depths, models: known, mut backlogs } = api.backlogs.measure().await?;
    let missing_workers = missing(&api.settings.models.planned, &known);
    let mut models = Vec::with_capacity(known.len());
    for RegisteredModel { registration, workers_alive, alive_by_version } in known {
        let alive_by_version = alive_by_version.into_iter();
        let Registration { manifest, digest, worker, at, .. } = registration;
        let queue = depth_of(&worker, &api.queue_names, &depths);
        models.push(ModelView {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            digest,
            worker,
            workers_alive,
            alive_by_version: alive_by_version.map(|(v, count)| (v.0, count)).collect(),
            queue,
            backlog: backlogs.remove(&manifest.name),
            registered_at: at,
            manifest: to_raw_value(&manifest).expect("plain data is always JSON"),
        });
    }
    Ok(Json(ModelList { models, missing_workers }))
}

/// The total depth of `worker`'s queues; `None` if one of them could not be read.
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
