//! What a worker counts, under `flota_worker_` but for what every consumer of a queue counts.

use std::time::Duration;

use flota_core::{Ending, ModelName, TaskOutcome};
use flota_platform::telemetry::Metric;
use metrics::{Histogram, counter, gauge, histogram};

/// All that a worker process measures.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter("flota_worker_tasks_total", "Tasks ended, by model, outcome and code.", &[]),
    Metric::counter(
        "flota_worker_cached_total",
        "Tasks answered from the prediction cache.",
        &[&[]],
    ),
    Metric::counter(
        "flota_worker_duplicates_total",
        "Tasks whose image was computed at the same time for another task.",
        &[&[]],
    ),
    Metric::counter(
        "flota_worker_dropped_total",
        "Tasks dropped on receipt: they have their outcome, or a later copy of them was sent.",
        &[&[]],
    ),
    Metric::counter(
        "flota_worker_parked_total",
        "Tasks that wait on the queue for their image's host: a fetch failed, its breaker is open, or it is busy.",
        &[&[("reason", "failed")], &[("reason", "open")], &[("reason", "busy")]],
    ),
    Metric::counter(
        "flota_worker_retries_total",
        "Tasks sent again after a transient fault.",
        &[&[]],
    ),
    Metric::counter(
        "flota_tasks_rerouted_total",
        "Tasks sent on to the worker that serves their model now.",
        &[&[]],
    ),
    Metric::counter(
        "flota_messages_unreadable_total",
        "Messages that could not be read, by queue.",
        &[],
    ),
    Metric::counter(
        "flota_worker_decoder_panics_total",
        "Images on which a decoder failed by a fault of its own, by format.",
        &[],
    ),
    Metric::histogram("flota_worker_batch_size", "Images in a batch that was run, by model."),
    Metric::histogram(
        "flota_worker_stage_seconds",
        "Time of one fetch, decode, or batch in inference, by stage.",
    ),
    Metric::gauge(
        "flota_worker_stage_utilization",
        "Share of a stage's slots that was busy over the last five seconds, by stage.",
    ),
    Metric::gauge("flota_worker_tasks_in_flight", "Tasks received and not acknowledged yet."),
];

/// Starts at 0 what is counted for `model`.
pub(crate) fn serve(model: &ModelName) {
    let labels =
        [("model", model.to_string()), ("outcome", "succeeded".into()), ("code", "".into())];
    counter!("flota_worker_tasks_total", &labels).increment(0);
}

/// A duration as timings have it: in milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// A task of `model` has ended, and that is durable.
pub(crate) fn ended(model: &ModelName, outcome: &TaskOutcome) {
    let (ending, code) = match &outcome.outcome.ending {
        Ending::Succeeded { .. } => ("succeeded", ""),
        Ending::Failed { code, .. } => ("failed", code.as_str()),
        Ending::Expired => ("expired", ""),
        Ending::Canceled => ("canceled", ""),
    };
    let model = model.to_string();
    counter!("flota_worker_tasks_total", "model" => model, "outcome" => ending, "code" => code)
        .increment(1);
}

/// A prediction was cached.
pub(crate) fn cached() {
    counter!("flota_worker_cached_total").increment(1);
}

/// An equal image was in flight.
pub(crate) fn duplicate() {
    counter!("flota_worker_duplicates_total").increment(1);
}

/// Tasks were sent again after a fault that time may heal.
pub(crate) fn retried(count: usize) {
    counter!("flota_worker_retries_total").increment(count as u64);
}

/// Tasks of a message were dropped: they have their outcome, or a later copy of them was sent.
pub(crate) fn dropped(count: usize) {
    counter!("flota_worker_dropped_total").increment(count as u64);
}

/// A task waits on the queue for its image's host: its fetch `failed`, the breaker of the host is
/// `open`, or the host is `busy`.
pub(crate) fn parked(reason: &'static str) {
    counter!("flota_worker_parked_total", "reason" => reason).increment(1);
}

/// Tasks were sent on to the worker that serves their model now.
pub(crate) fn rerouted(count: usize) {
    counter!("flota_tasks_rerouted_total").increment(count as u64);
}

/// The decoder of `format` failed by a fault of its own.
pub(crate) fn decoder_panicked(format: &'static str) {
    counter!("flota_worker_decoder_panics_total", "format" => format).increment(1);
}

/// How large the batches of `model` are that are run.
pub(crate) fn batch_size(model: &ModelName) -> Histogram {
    histogram!("flota_worker_batch_size", "model" => model.to_string())
}

/// A stage took so long.
pub(crate) fn stage(name: &'static str, took: Duration) {
    histogram!("flota_worker_stage_seconds", "stage" => name).record(took.as_secs_f64());
}

/// Counts tasks as in flight until it is dropped.
pub(crate) struct TasksInFlight(f64);

impl TasksInFlight {
    pub(crate) fn new(count: usize) -> Self {
        let count = count as f64;
        gauge!("flota_worker_tasks_in_flight").increment(count);
        Self(count)
    }
}

impl Drop for TasksInFlight {
    fn drop(&mut self) {
        gauge!("flota_worker_tasks_in_flight").decrement(self.0);
    }
}
