//! The metrics of the server, and events that are logged and counted together.

mod described;

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request as HttpRequest},
    middleware::Next,
    response::Response,
};
use flota_api::ModelBacklog;
use flota_core::{
    Ending, ModelName, Outcome, QueueName, Reason, Replay, ReplayState, Request, Timings,
    WorkerName,
    ports::{Depth, StoredKind},
};
use jiff::Timestamp;
use metrics::{counter, gauge, histogram};
use tokio::time::Instant;
use tracing::{debug, info, warn};

pub(crate) use self::described::{GAUGES, METRICS};

use self::described::{
    CALLBACK_SECONDS, HTTP_SECONDS, REQUEST_SECONDS, STAGE_SECONDS, TASK_SECONDS,
};

/// The result of an upload event.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum UploadResult {
    /// A rule matches.
    Taken,
    /// No rule matches.
    Ignored,
    /// A request for the upload exists already.
    Repeated,
    /// The prediction exists already.
    Cached,
    /// The message reports no upload.
    Foreign,
}

/// The result of a sweep of an overdue round.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SweepAction {
    Finished,
    Resent,
    /// A queue still holds its messages.
    Waiting,
    Lost,
}

/// Why an outcome was not recorded.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum DropReason {
    Duplicate,
    UnknownRequest,
    UnknownPack,
    UnknownTask,
    PredictionDeleted,
}

/// The result of an attempt to deliver a callback.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum CallbackResult {
    Delivered,
    Retried,
    Failed,
    Disabled,
    /// The attempt failed because of us, not because of the receiver.
    OwnFault,
}

/// Counts an accepted request.
pub(crate) fn request_accepted(request: &Request) {
    counter!("flota_requests_accepted_total").increment(1);
    tasks_accepted(request.task_count() as usize);
    info!(request.id = %request.id, image_count = request.images.len(),
        model_count = request.routes.len(), "request accepted");
}

/// Counts accepted tasks.
pub(crate) fn tasks_accepted(count: usize) {
    counter!("flota_tasks_accepted_total").increment(count as u64);
}

/// Counts an uploaded image.
pub(crate) fn image_uploaded() {
    counter!("flota_images_uploaded_total").increment(1);
}

/// Counts upload events.
pub(crate) fn uploads(result: UploadResult, count: usize) {
    let result: &'static str = result.into();
    counter!("flota_uploads_total", "result" => result).increment(count as u64);
}

/// Counts an object that was gone before a worker fetched it.
pub(crate) fn upload_gone() {
    counter!("flota_uploads_gone_total").increment(1);
}

/// Counts messages that could not be sent in time.
pub(crate) fn dispatch_failed(message_count: usize) {
    counter!("flota_dispatch_failures_total").increment(message_count as u64);
}

/// Counts tasks that were sent from `queue` to the workers that serve their models now.
pub(crate) fn rerouted(queue: &QueueName, task_count: usize) {
    counter!("flota_tasks_rerouted_total").increment(task_count as u64);
    debug!(%queue, task_count, "tasks were moved to other workers");
}

/// Counts a message from the dead-letter queue of `queue`.
pub(crate) fn dlq_message(queue: &QueueName, reason: Reason) {
    let labels = [("queue", queue.to_string()), ("reason", reason.to_string())];
    counter!("flota_dlq_messages_total", &labels).increment(1);
}

/// Counts a replayed dead letter.
pub(crate) fn dead_letter_replayed() {
    counter!("flota_dead_letters_replayed_total").increment(1);
}

/// Counts and logs the end of a replay.
pub(crate) fn replay_ended(replay: &Replay) {
    let progress = &replay.progress;
    let (id, by, model) = (&replay.id, &replay.by, &replay.model);
    let (succeeded_count, failed_count) = (progress.succeeded_count, progress.failed_count);
    let skipped_count = progress.skipped_count;
    let result = match &replay.state {
        ReplayState::Stopped { why, .. } => why.to_string().to_lowercase(),
        _ => "completed".to_owned(),
    };
    counter!("flota_replays_ended_total", "result" => result).increment(1);
    match &replay.state {
        ReplayState::Stopped { why, .. } => warn!(replay.id = %id, by, %model, %why,
            succeeded_count, failed_count, skipped_count, "a replay was stopped"),
        _ => info!(replay.id = %id, by, %model, succeeded_count, failed_count, skipped_count,
            "a replay is completed"),
    }
}

/// Counts a swept round.
pub(crate) fn swept(action: SweepAction) {
    let action: &'static str = action.into();
    counter!("flota_sweeper_rounds_total", "action" => action).increment(1);
}

/// Counts outcomes that were not recorded.
pub(crate) fn outcomes_dropped(reason: DropReason, count: usize) {
    if count > 0 {
        let reason: &'static str = reason.into();
        counter!("flota_outcomes_dropped_total", "reason" => reason).increment(count as u64);
    }
}

/// Measures a finished round.
pub(crate) fn round_finished(request: &Request, round: u32, now: Timestamp) {
    counter!("flota_rounds_finished_total").increment(1);
    if round == 1 {
        histogram!(REQUEST_SECONDS).record(between(request.created_at, now));
    }
    info!(request.id = %request.id, round, "request finished");
}

/// Counts an attempt to deliver a callback.
pub(crate) fn callback_attempted(result: CallbackResult) {
    let result: &'static str = result.into();
    counter!("flota_callbacks_total", "result" => result).increment(1);
}

/// Counts callbacks that wait because of their receiver's breaker or limits.
pub(crate) fn callbacks_held_back(count: usize) {
    counter!("flota_callbacks_held_back_total").increment(count as u64);
}

/// Counts data of a kind that was deleted by age.
pub(crate) fn deleted(kind: StoredKind, count: u64, size_bytes: u64) {
    let kind: &'static str = kind.into();
    counter!("flota_deleted_total", "kind" => kind).increment(count);
    counter!("flota_deleted_bytes_total", "kind" => kind).increment(size_bytes);
}

/// Counts bytes that were returned to the file system.
pub(crate) fn space_returned(bytes: u64) {
    counter!("flota_returned_bytes_total").increment(bytes);
}

/// Counts a rejected connection.
pub(crate) fn connection_refused() {
    counter!("flota_http_connections_refused_total").increment(1);
}

/// Measures a durable outcome of `model`. `accepted_at` is when its request was accepted.
pub(crate) fn outcome(model: &ModelName, outcome: &Outcome, accepted_at: Option<Timestamp>) {
    let (ending, code) = match &outcome.ending {
        Ending::Succeeded { cached: true, .. } => ("succeeded", "cached"),
        Ending::Succeeded { cached: false, .. } => ("succeeded", ""),
        Ending::Failed { code, .. } => ("failed", code.as_str()),
        Ending::Expired => ("expired", ""),
        Ending::Canceled => ("canceled", ""),
    };
    let model = model.to_string();
    let labels = [("model", model.clone()), ("outcome", ending.into()), ("code", code.into())];
    counter!("flota_outcomes_total", &labels).increment(1);
    if let Some(accepted_at) = accepted_at {
        histogram!(TASK_SECONDS, "model" => model.clone())
            .record(between(accepted_at, outcome.ended_at));
    }
    let Timings { queued_ms, fetch_ms, decode_ms, infer_ms, .. } = outcome.timings;
    let stages =
        [("queue", queued_ms), ("fetch", fetch_ms), ("decode", decode_ms), ("infer", infer_ms)];
    for (stage, ms) in stages {
        if let Some(ms) = ms {
            histogram!(STAGE_SECONDS, "model" => model.clone(), "stage" => stage)
                .record(ms / 1_000.0);
        }
    }
}

/// Measures the delivery of a callback for a round that finished at `finished_at`.
pub(crate) fn callback_delivered(finished_at: Timestamp, now: Timestamp) {
    histogram!(CALLBACK_SECONDS).record(between(finished_at, now));
}

/// Sets the depth of `queue`.
pub(crate) fn queue_depth(queue: &QueueName, depth: Depth) {
    let Depth { ready, in_flight, delayed } = depth;
    for (state, count) in [("ready", ready), ("in_flight", in_flight), ("delayed", delayed)] {
        gauge!("flota_queue_messages", "queue" => queue.to_string(), "state" => state)
            .set(count as f64);
    }
}

/// Sets the number of processes of `worker` that serve `model`.
pub(crate) fn workers_alive(model: &ModelName, worker: &WorkerName, count: u32) {
    gauge!("flota_workers_alive", &of_model(model, worker)).set(f64::from(count));
}

/// Sets the backlog of `model`.
pub(crate) fn backlog(model: &ModelName, worker: &WorkerName, backlog: &ModelBacklog) {
    let labels = of_model(model, worker);
    gauge!("flota_backlog_tasks", &labels).set(backlog.tasks as f64);
    gauge!("flota_backlog_service_per_second", &labels).set(backlog.service_per_second);
    gauge!("flota_backlog_oldest_age_seconds", &labels)
        .set(backlog.oldest_age_seconds.unwrap_or(0.0));
    if let Some(arrival) = backlog.arrival_per_second {
        gauge!("flota_backlog_arrival_per_second", &labels).set(arrival);
    }
    if let Some(drain) = backlog.drain_seconds {
        gauge!("flota_backlog_drain_seconds", &labels).set(drain);
    }
}

/// Sets the number of open dead letters.
pub(crate) fn open_dead_letters(count: u64) {
    gauge!("flota_dead_letters_open").set(count as f64);
}

/// Sets the number of callbacks that are not delivered yet.
pub(crate) fn pending_callbacks(count: u64) {
    gauge!("flota_callbacks_pending").set(count as f64);
}

/// Sets the free bytes of the data folder's disk.
pub(crate) fn disk_free(bytes: u64) {
    gauge!("flota_disk_free_bytes").set(bytes as f64);
}

/// Measures a call by its route. Paths contain ids, and would make a series each.
pub(crate) async fn measure_http(request: HttpRequest, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or("none").to_owned();
    // Clients can send any method, so only known ones have a series.
    let method = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    histogram!(HTTP_SECONDS, "method" => method, "route" => route, "status" => status)
        .record(begun.elapsed().as_secs_f64());
    response
}

fn of_model(model: &ModelName, worker: &WorkerName) -> [(&'static str, String); 2] {
    [("model", model.to_string()), ("worker", worker.to_string())]
}

/// Seconds from `from` to `to`; 0 if the clock went back.
fn between(from: Timestamp, to: Timestamp) -> f64 {
    Duration::try_from(to.duration_since(from)).map_or(0.0, |passed| passed.as_secs_f64())
}
