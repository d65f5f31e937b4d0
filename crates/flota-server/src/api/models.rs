use axum::{Json, extract::State};
use flota_api::{ModelList, ModelView};
use flota_core::{
    Priority, QueueName,
    ports::{RegisteredModel, Registration},
};
use serde_json::value::to_raw_value;

use super::{planned::missing, problem::Problem, state::Api};
use crate::backlog::Measurement;

/// Lists the known models, also those of which no worker runs.
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
        let queue = QueueName::tasks(&api.settings.prefix, &worker, Priority::Normal);
        models.push(ModelView {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            digest,
            worker,
            workers_alive,
            alive_by_version: alive_by_version.map(|(v, count)| (v.0, count)).collect(),
            queue: depths.get(&queue).copied().flatten(),
            backlog: backlogs.remove(&manifest.name),
            registered_at: at,
            manifest: to_raw_value(&manifest).expect("plain data is always JSON"),
        });
    }
    Ok(Json(ModelList { models, missing_workers }))
}
