//! How the queues of a fleet are named.

use std::{fmt, sync::Arc};

use strum::IntoEnumIterator;

use crate::{Priority, WorkerName};

/// The name of a queue: `{prefix}-tasks-{worker}-{priority}`, `{prefix}-outcomes`, `{prefix}-events`, or
/// one of these with `-dead` behind it. [`QueueNames`] alone makes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

/// Names the queues of the fleet whose names begin with one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNames {
    prefix: Arc<str>,
}

impl QueueNames {
    /// The names that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The queue from which `worker` takes its tasks of `priority`.
    pub fn tasks(&self, worker: &WorkerName, priority: Priority) -> QueueName {
        QueueName(format!("{}-tasks-{worker}-{priority}", self.prefix))
    }

    /// The queues of `worker`, one for each priority.
    pub fn tasks_of(&self, worker: &WorkerName) -> impl Iterator<Item = (Priority, QueueName)> {
        Priority::iter().map(move |priority| (priority, self.tasks(worker, priority)))
    }

    /// The queue on which workers report.
    pub fn outcomes(&self) -> QueueName {
        QueueName(format!("{}-outcomes", self.prefix))
    }

    /// The queue on which S3 reports uploads.
    pub fn events(&self) -> QueueName {
        QueueName(format!("{}-events", self.prefix))
    }
}

impl QueueName {
    /// The queue to which this one gives up what was received too often: its dead-letter queue.
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
