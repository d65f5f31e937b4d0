//! What the roles of the server measure, all of it described.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use flota_core::{Ending, ModelName, Outcome, Timings};
use flota_platform::telemetry::{Kind, Metric};
use jiff::Timestamp;
use metrics::{counter, histogram};
use tokio::time::Instant;

const HTTP_SECONDS: &str = "flota_http_request_seconds";
const REQUEST_SECONDS: &str = "flota_request_seconds";
const CALLBACK_SECONDS: &str = "flota_callback_seconds";
const TASK_SECONDS: &str = "flota_task_seconds";
const STAGE_SECONDS: &str = "flota_task_stage_seconds";

/// What a server process counts and measures over its life.
pub(crate) const METRICS: &[Metric] = &[
    counted("flota_requests_accepted_total", "Requests accepted.", &[&[]]),
    counted(
        "flota_tasks_accepted_total",
        "Tasks accepted, of requests and of upload events.",
        &[&[]],
    ),
    counted("flota_images_uploaded_total", "Images uploaded to the API.", &[&[]]),
    counted(
        "flota_uploads_total",
        "Upload events, by what became of them: taken, ignored (no rule matches), repeated, or cached.",
        &[
            &[("result", "taken")],
            &[("result", "ignored")],
            &[("result", "repeated")],
            &[("result", "cached")],
        ],
    ),
    counted(
        "flota_uploads_gone_total",
        "Uploaded objects that were gone before a worker fetched them.",
        &[&[]],
    ),
    counted("flota_outcomes_total", "Outcomes recorded, by model, outcome and code.", &[]),
    counted(
        "flota_outcomes_dropped_total",
        "Outcomes not recorded: a task has one already, or its request is unknown.",
        &[
            &[("reason", "duplicate")],
            &[("reason", "unknown_request")],
            &[("reason", "unknown_pack")],
            &[("reason", "unknown_task")],
        ],
    ),
    counted("flota_rounds_finished_total", "Rounds of requests finished.", &[&[]]),
    counted(
        "flota_callbacks_total",
        "Attempts to deliver a callback, by result.",
        &[
            &[("result", "delivered")],
            &[("result", "retried")],
            &[("result", "failed")],
            &[("result", "disabled")],
            &[("result", "own_fault")],
        ],
    ),
    counted(
        "flota_callbacks_held_back_total",
        "Callbacks put off because their receiver was slow or failing.",
        &[&[]],
    ),
    counted(
        "flota_sweeper_rounds_total",
        "Overdue rounds that the sweeper looked at: finished, resent, waiting (their messages are on a queue), or \
         ended as lost.",
        &[
            &[("action", "finished")],
            &[("action", "resent")],
            &[("action", "waiting")],
            &[("action", "lost")],
        ],
    ),
    counted(
        "flota_dispatch_failures_total",
        "Messages that could not be sent to a queue; the sweeper sends them.",
        &[&[]],
    ),
    counted(
        "flota_tasks_rerouted_total",
        "Tasks sent on to the worker that serves their model now.",
        &[&[]],
    ),
    counted("flota_messages_unreadable_total", "Messages that could not be read, by queue.", &[]),
    counted(
        "flota_dlq_messages_total",
        "Messages taken from dead-letter queues, by queue and reason.",
        &[],
    ),
    counted("flota_dead_letters_replayed_total", "Dead letters replayed.", &[&[]]),
    counted(
        "flota_replays_ended_total",
        "Replays ended, by result.",
        &[&[("result", "completed")]],
    ),
    counted(
        "flota_http_connections_refused_total",
        "Connections refused: the server has as many as it may have, or their peer has.",
        &[&[]],
    ),
    measured(
        HTTP_SECONDS,
        "Time to answer an HTTP call, by method, route and status; a call with `wait` counts its wait.",
    ),
    measured(REQUEST_SECONDS, "Time from accepting a request to the end of its first round."),
    measured(CALLBACK_SECONDS, "Time from the end of a round to the delivery of its callback."),
    measured(TASK_SECONDS, "Time from accepting a request to the outcome of its task, by model."),
    measured(
        STAGE_SECONDS,
        "Time that a task spent in each stage (queue, fetch, decode, infer), by model.",
    ),
    // Of the clients of AWS, where there are any.
    counted(
        "flota_aws_requests_total",
        "Calls to AWS, by service and operation, each attempt.",
        &[],
    ),
    counted("flota_aws_sqs_units_total", "Billed requests of SQS: one for each begun 64 KB.", &[]),
    counted(
        "flota_aws_dynamodb_units_total",
        "Capacity units of DynamoDB consumed, by kind (read or write).",
        &[],
    ),
];

/// What is measured at each scrape.
pub(crate) const GAUGES: &[Metric] = &[
    gauged(
        "flota_queue_messages",
        "Messages in a queue, by queue and state (ready, in_flight, delayed).",
    ),
    gauged(
        "flota_workers_alive",
        "Worker processes alive that serve a model, by model and worker.",
    ),
    gauged("flota_dead_letters_open", "Dead letters neither replayed nor discarded."),
    gauged("flota_callbacks_pending", "Callbacks not delivered yet."),
];

const fn counted(
    name: &'static str,
    help: &'static str,
    zeros: &'static [&'static [(&'static str, &'static str)]],
) -> Metric {
    Metric { name, help, kind: Kind::Counter(zeros) }
}

const fn measured(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, kind: Kind::Histogram }
}

const fn gauged(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, kind: Kind::Gauge }
}

/// A task of `model`, accepted at `accepted_at`, has this outcome, and it is durable.
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

/// The first round of a request accepted at `accepted_at` has finished.
pub(crate) fn request_finished(accepted_at: Timestamp, now: Timestamp) {
    histogram!(REQUEST_SECONDS).record(between(accepted_at, now));
}

/// The callback of a round that finished at `finished_at` was delivered.
pub(crate) fn callback_delivered(finished_at: Timestamp, now: Timestamp) {
    histogram!(CALLBACK_SECONDS).record(between(finished_at, now));
}

/// Measures a call by its route: paths hold ids, and would make a series each.
pub(crate) async fn measure_http(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or("none").to_owned();
    // Methods are the caller's words: only those that routes take are told apart.
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

/// Seconds from `from` to `to`; 0 where a clock was put back.
fn between(from: Timestamp, to: Timestamp) -> f64 {
    Duration::try_from(to.duration_since(from)).map_or(0.0, |passed| passed.as_secs_f64())
}
