//! Which queues the fleet has, and what each carries.

use std::collections::BTreeSet;

use flota_core::{
    ModelName, OutcomesMessage, PortResult, Priority, QueueName, TasksMessage, WorkerName,
    consume::Unreadable,
    ports::{Models, Registration},
};
use jiff::Timestamp;
use serde::de::IgnoredAny;

/// What a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Tasks,
    Outcomes,
    Events,
}

/// The queues of every worker that serves a model or did, and those that the server reads.
pub(crate) async fn fleet_queues(
    models: &dyn Models,
    prefix: &str,
    now: Timestamp,
) -> PortResult<Vec<(QueueName, QueueKind)>> {
    let models = models.list(now).await?;
    let mut workers: BTreeSet<WorkerName> = BTreeSet::new();
    for Registration { worker, former_workers, .. } in models.into_iter().map(|m| m.registration) {
        workers.insert(worker);
        workers.extend(former_workers.into_keys());
    }
    let tasks = |worker| (QueueName::tasks(prefix, &worker, Priority::Normal), QueueKind::Tasks);
    let mut queues: Vec<_> = workers.into_iter().map(tasks).collect();
    queues.push((QueueName::outcomes(prefix), QueueKind::Outcomes));
    queues.push((QueueName::events(prefix), QueueKind::Events));
    Ok(queues)
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
