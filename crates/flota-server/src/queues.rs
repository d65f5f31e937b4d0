//! The queues of a fleet, and the kinds of messages on them.

use flota_core::{
    KnownModels, ModelName, OutcomesMessage, QueueName, QueueNames, TasksMessage,
    consume::Unreadable,
};
use serde::de::IgnoredAny;

/// The kind of messages on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Tasks,
    Outcomes,
    Events,
}

/// The queues of all current and former workers, and those that the server consumes.
pub(crate) fn fleet_queues(
    models: &KnownModels,
    names: &QueueNames,
) -> Vec<(QueueName, QueueKind)> {
    let workers = models.workers().into_iter();
    let tasks = workers.flat_map(|worker| names.tasks_of(worker));
    let mut queues: Vec<_> = tasks.map(|(_, queue)| (queue, QueueKind::Tasks)).collect();
    queues.push((names.outcomes(), QueueKind::Outcomes));
    queues.push((names.events(), QueueKind::Events));
    queues
}

impl QueueKind {
    /// Parses `body` as a message of this kind. The model is that of its first task; `None` if it
    /// has no tasks.
    ///
    /// # Errors
    /// Why it cannot be parsed.
    pub(crate) fn read(self, body: &str) -> Result<Option<ModelName>, Unreadable> {
        match self {
            Self::Tasks => {
                let message = TasksMessage::decode(body)?;
                Ok(message.tasks.into_iter().next().map(|task| task.model))
            }
            Self::Outcomes => {
                OutcomesMessage::decode(body)?;
                Ok(None)
            }
            // JSON that is no upload event is acknowledged, so it never reaches a dead-letter
            // queue.
            Self::Events => {
                serde_json::from_str::<IgnoredAny>(body)?;
                Ok(None)
            }
        }
    }
}
