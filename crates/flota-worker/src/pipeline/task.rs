//! A message in hand, and a task of it that is begun.

use flota_core::{Alias, TaskMessage, TasksMessage, Timings, consume::Lease};

/// A message in hand.
pub(crate) struct Received {
    /// What it says.
    pub(crate) message: TasksMessage,
    /// The lease on it.
    pub(crate) lease: Lease,
    /// From its sending to its receipt, in milliseconds.
    pub(crate) queued_ms: f64,
}

/// A task that is begun, and what is known of it so far.
pub(crate) struct Begun<'a> {
    /// The task.
    pub(crate) task: &'a TaskMessage,
    /// The message that it came with.
    pub(crate) received: &'a Received,
    /// How often it was begun, this time included.
    pub(crate) attempts: u32,
    /// How often it is begun at most.
    pub(crate) limit: u32,
    /// Where its time went.
    pub(crate) timings: Timings,
    /// What its object was found to contain, if that was not known.
    pub(crate) alias: Option<Alias>,
}

impl<'a> Begun<'a> {
    /// A task that is begun for the `attempts`th time, and at most for the `limit`th.
    pub(crate) fn new(
        task: &'a TaskMessage,
        received: &'a Received,
        attempts: u32,
        limit: u32,
    ) -> Self {
        let timings = Timings { queued_ms: Some(received.queued_ms), ..Timings::default() };
        Self { task, received, attempts, limit, timings, alias: None }
    }

    /// Adds the time of what was computed for it.
    pub(crate) fn spent(&mut self, computing: &Timings) {
        let Timings { queued_ms, fetch_ms, .. } = self.timings;
        self.timings = Timings { queued_ms, fetch_ms, ..computing.clone() };
    }
}
