//! Which queues the fleet has, and what each carries.

use flota_core::{
    KnownModels, ModelName, OutcomesMessage, QueueName, QueueNames, TasksMessage,
    consume::Unreadable,
};
use serde::de::IgnoredAny;

/// What a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Tasks,
    Outcomes,
    Events,
}

/// The queues of every worker that serves a model or did, and those that the server reads.
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
    /// Reads `body` as a message of such a queue: the model of its first task, where it holds
    /// tasks.
    ///
    /// # Errors
    /// Why nobody can read it.
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
            // An event that is JSON and no upload is acknowledged, so that it is never here.
            Self::Events => {
                serde_json::from_str::<IgnoredAny>(body)?;
                Ok(None)
            }
        }
    }
}
