//! The names of a fleet's queues.

use std::{fmt, sync::Arc};

use strum::IntoEnumIterator;

use crate::{Priority, WorkerName};

/// The name of a queue: `{prefix}-tasks-{worker}-{priority}`, `{prefix}-outcomes` or
/// `{prefix}-events`; that of a dead-letter queue ends in `-dead`. Only [`QueueNames`] creates
/// names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

/// Names the queues of a fleet, which share a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNames {
    prefix: Arc<str>,
}

impl QueueNames {
    /// The names that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The queue of `worker` for tasks of `priority`.
    pub fn tasks(&self, worker: &WorkerName, priority: Priority) -> QueueName {
        QueueName(format!("{}-tasks-{worker}-{priority}", self.prefix))
    }

    /// The queues of `worker`, one for each priority.
    pub fn tasks_of(&self, worker: &WorkerName) -> impl Iterator<Item = (Priority, QueueName)> {
        Priority::iter().map(move |priority| (priority, self.tasks(worker, priority)))
    }

    /// The queue of outcomes, from workers to the recorder.
    pub fn outcomes(&self) -> QueueName {
        QueueName(format!("{}-outcomes", self.prefix))
    }

    /// The queue of S3's upload events.
    pub fn events(&self) -> QueueName {
        QueueName(format!("{}-events", self.prefix))
    }
}

impl QueueName {
    /// The dead-letter queue of this queue, which gets messages that were received too often.
    pub fn dlq(&self) -> Self {
        Self(format!("{self}-dead"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_a_queue_for_each_priority() {
        let names = QueueNames::new("flota");
        let worker: WorkerName = "cat".parse().unwrap();
        let queues: Vec<_> = names.tasks_of(&worker).map(|(_, queue)| queue.to_string()).collect();
        assert_eq!(queues, ["flota-tasks-cat-normal"]);
        assert_eq!(names.tasks(&worker, Priority::default()).as_str(), "flota-tasks-cat-normal");
        assert_eq!(names.outcomes().dlq().as_str(), "flota-outcomes-dead");
        assert_eq!(names.events().as_str(), "flota-events");
    }
}
