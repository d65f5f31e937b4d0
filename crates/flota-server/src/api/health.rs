use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use flota_core::{Lane, PortResult, QueueName};
use flota_platform::settings::Role;
use metrics::gauge;
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::{
    planned::missing,
    problem::{self, Problem, ProblemCode},
    state::{Api, Poll},
};

/// How much older than its wait the last poll of a role may be: polls end early or in time, and a
/// stuck one is given up after ten seconds and tried again after a back-off of thirty at most.
const POLL_GRACE: Duration = Duration::from_secs(45);

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Says that the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "It lives", body = Health)),
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Says whether the roles that poll hear from their queues, and whether every planned worker runs.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "It is ready", body = Health),
        (status = 503, description = "It is not", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    let not_ready = |detail| Err(Problem::new(ProblemCode::NotReady, detail));
    if api.stop.is_cancelled() {
        return not_ready("the server is stopping".to_owned());
    }
    for Poll { of, health } in &api.polls {
        match health.last_poll_age() {
            None => return not_ready(format!("the {of} has not polled its queue yet")),
            Some(age) if age > api.settings.queue.poll_wait + POLL_GRACE => {
                let age = age.as_secs();
                return not_ready(format!("the {of} last heard from its queue {age} s ago"));
            }
            Some(_) => {}
        }
    }
    let planned = &api.settings.models.planned;
    if !planned.is_empty() {
        let known = api.platform.models.list(api.platform.clock.now()).await?;
        if let Some(worker) = missing(planned, &known).into_iter().next() {
            return not_ready(worker.reason);
        }
    }
    Ok(Json(Health { status: "ok" }))
}

/// The metrics in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(api): State<Api>) -> Response {
    // One of the roles is enough: where depths are asked for, they are billed.
    let has_api = api.settings.server.roles.contains(&Role::Api);
    if has_api && let Err(error) = gauge_depths(&api).await {
        warn!(%error, "the depths of the queues are not known");
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, api.metrics.render()).into_response()
}

async fn gauge_depths(api: &Api) -> PortResult<()> {
    let models = api.platform.models.list(api.platform.clock.now()).await?;
    let prefix = &api.settings.prefix;
    let mut queues: BTreeSet<QueueName> = models
        .iter()
        .map(|model| QueueName::tasks(prefix, &model.registration.worker, Lane::Normal))
        .collect();
    queues.insert(QueueName::outcomes(prefix));
    for queue in queues {
        let depth = api.platform.queue.depth(&queue).await?;
        let states =
            [("ready", depth.ready), ("in_flight", depth.in_flight), ("delayed", depth.delayed)];
        for (state, message_count) in states {
            let name = queue.to_string();
            gauge!("flota_queue_messages", "queue" => name, "state" => state)
                .set(message_count as f64);
        }
    }
    Ok(())
}
