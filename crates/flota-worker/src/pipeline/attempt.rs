//! An attempt at a task, and what answers it.

use std::{error::Error, sync::Arc};

use flota_core::{
    Alias, Code, Prediction, TaskMessage, TasksMessage, Timings, consume::Lease, ports::Retry,
};

use super::single_flight::Flight;

/// A message in flight: one pack.
pub(crate) struct PackDelivery {
    pub(crate) message: TasksMessage,
    pub(crate) lease: Lease,
    /// From its sending to its receipt, in milliseconds.
    pub(crate) queued_ms: f64,
}

/// An attempt at a task.
pub(crate) struct Attempt<'a> {
    pub(crate) task: &'a TaskMessage,
    /// The message that the task came with.
    pub(crate) delivery: &'a PackDelivery,
    /// How often the task was begun, this attempt included.
    pub(crate) number: u32,
    /// How often it is begun at most.
    pub(crate) limit: u32,
    pub(crate) timings: Timings,
    /// What its object was found to contain, if that was not cached.
    pub(crate) alias: Option<Alias>,
}

/// What answers an attempt.
pub(crate) enum Answer {
    /// The worker stops before it was begun.
    NotStarted,
    /// The prediction was in the cache.
    Cached(Prediction),
    /// The image cannot be had.
    Failed(Failure),
    /// It was computed.
    Computed(ComputedAnswer),
}

/// The answer of a computation.
pub(crate) struct ComputedAnswer {
    pub(crate) computed: Computed,
    /// Whether it was computed for an equal image, which cost this attempt no time of its own.
    pub(crate) is_duplicate: bool,
    /// Held until the task's result is reported, so that an equal image meanwhile is not computed again.
    pub(crate) flight: Flight<Computed>,
}

/// What one model made of one image.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    pub(crate) result: Result<Arc<Prediction>, Failure>,
    pub(crate) timings: Timings,
}

/// Why a task has no prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// One safe sentence for the client.
    pub(crate) message: String,
    /// Whether it is tried again.
    pub(crate) retry: Retry,
}

impl<'a> Attempt<'a> {
    /// Attempt `number` of at most `limit`.
    pub(crate) fn new(
        task: &'a TaskMessage,
        delivery: &'a PackDelivery,
        number: u32,
        limit: u32,
    ) -> Self {
        let timings = Timings { queued_ms: Some(delivery.queued_ms), ..Timings::default() };
        Self { task, delivery, number, limit, timings, alias: None }
    }
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: Retry::of(code) }
    }

    /// A failure in the words of `error`, which are safe; its cause goes to the log.
    pub(crate) fn logged(code: Code, error: &dyn Error) -> Self {
        if let Some(cause) = error.source() {
            tracing::info!(%code, cause, "{error}");
        }
        Self::new(code, error.to_string())
    }
}
