use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use flota_api::ModelBacklog;
use flota_core::{
    ModelName, PortResult, QueueName,
    ports::{Depth, RegisteredModel},
};
use flota_platform::{settings::Role, telemetry::Metrics};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::{
    planned::missing,
    problem::{Problem, ProblemCode},
    state::{Api, Poll},
};
use crate::metrics::{self, GAUGES};

/// How much older than its wait the last poll of a role may be. Polls end in time; one that hangs
/// is abandoned after ten seconds, and repeated after a backoff of at most thirty.
const POLL_GRACE: Duration = Duration::from_secs(45);

/// The answer of a healthy process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Answers if the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "It lives", body = Health)),
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Answers 200 if all roles poll their queues and every planned worker runs.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "It is ready", body = Health),
        (status = 503, description = "It is not", body = flota_api::Problem, content_type = "application/problem+json"),
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
        let known: Vec<_> = api.directory.known_now().await?.iter().cloned().collect();
        if let Some(worker) = missing(planned, &known).into_iter().next() {
            return not_ready(worker.reason);
        }
    }
    Ok(Json(Health { status: "ok" }))
}

/// Returns metrics in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(api): State<Api>) -> Response {
    // Only the API measures depths: reading a depth may be billed, so one role is enough.
    let has_api = api.settings.server.roles.contains(&Role::Api);
    let gauges = if has_api { Gauges::measure(&api).await.render() } else { String::new() };
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, api.metrics.render() + &gauges).into_response()
}

/// The state of the queues and of the store. What cannot be read is logged and left out, so that
/// the scrape still shows the rest.
#[derive(Default)]
struct Gauges {
    depths: Vec<(QueueName, Depth)>,
    models: Vec<RegisteredModel>,
    backlogs: BTreeMap<ModelName, ModelBacklog>,
    open_dead_letters: Option<u64>,
    pending_callbacks: Option<u64>,
    disk_free_bytes: Option<u64>,
}

impl Gauges {
    async fn measure(api: &Api) -> Self {
        let mut gauges = Self::default();
        let platform = &api.platform;
        let measured = known(api.backlogs.measure().await, "models").unwrap_or_default();
        (gauges.models, gauges.backlogs) = (measured.models, measured.backlogs);
        let depths = measured.depths.into_iter();
        gauges.depths = depths.filter_map(|(queue, depth)| Some((queue, depth?))).collect();
        let outcomes = api.queue_names.outcomes();
        if let Some(depth) = known(platform.queue.depth(&outcomes).await, "the depth of a queue") {
            gauges.depths.push((outcomes, depth));
        }
        gauges.open_dead_letters = known(platform.dead_letters.open_count().await, "dead letters");
        gauges.pending_callbacks = known(platform.callbacks.pending_count().await, "callbacks");
        gauges.disk_free_bytes = platform.disk.space().await.map(|space| space.free_bytes);
        gauges
    }

    fn render(self) -> String {
        Metrics::render_now(GAUGES, || {
            for (queue, depth) in &self.depths {
                metrics::queue_depth(queue, *depth);
            }
            for RegisteredModel { registration, workers_alive, .. } in &self.models {
                let (model, worker) = (&registration.manifest.name, &registration.worker);
                metrics::workers_alive(model, worker, *workers_alive);
                if let Some(backlog) = self.backlogs.get(model) {
                    metrics::backlog(model, worker, backlog);
                }
            }
            if let Some(count) = self.open_dead_letters {
                metrics::open_dead_letters(count);
            }
            if let Some(count) = self.pending_callbacks {
                metrics::pending_callbacks(count);
            }
            if let Some(bytes) = self.disk_free_bytes {
                metrics::disk_free(bytes);
            }
        })
    }
}

fn known<T>(read: PortResult<T>, what: &str) -> Option<T> {
    read.inspect_err(|error| warn!(%error, "{what} could not be read for /metrics")).ok()
}
