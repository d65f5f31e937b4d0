//! Which queues the fleet has, and what each carries.

use std::collections::BTreeSet;

use flota_core::{
    Lane, ModelName, OutcomesMessage, PortResult, QueueName, TasksMessage, WorkerName,
    ports::{Models, Registration},
};
use jiff::Timestamp;
use serde::de::IgnoredAny;

/// What a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    Tasks,
    Outcomes,
    Events,
}

/// The queues of every worker that serves a model or did, and those that the server reads.
pub(crate) async fn fleet_queues(
    models: &dyn Models,
    prefix: &str,
    now: Timestamp,
) -> PortResult<Vec<(QueueName, Carries)>> {
    let models = models.list(now).await?;
    let mut workers: BTreeSet<WorkerName> = BTreeSet::new();
    for Registration { worker, former_workers, .. } in models.into_iter().map(|m| m.registration) {
        workers.insert(worker);
        workers.extend(former_workers.into_keys());
    }
    let tasks = |worker| (QueueName::tasks(prefix, &worker, Lane::Normal), Carries::Tasks);
    let mut queues: Vec<_> = workers.into_iter().map(tasks).collect();
    queues.push((QueueName::outcomes(prefix), Carries::Outcomes));
    queues.push((QueueName::events(prefix), Carries::Events));
    Ok(queues)
}

impl Carries {
    /// Reads `body` as a message of such a queue: the model of its first task, where it holds
    /// tasks.
    ///
    /// # Errors
    /// The sentence that says why nobody can read it.
    pub(crate) fn read(self, body: &str) -> Result<Option<ModelName>, String> {
        match self {
            Self::Tasks => {
                let message = TasksMessage::decode(body).map_err(|error| error.to_string())?;
                Ok(message.tasks.into_iter().next().map(|task| task.model))
            }
            Self::Outcomes => {
                OutcomesMessage::decode(body).map_err(|error| error.to_string())?;
                Ok(None)
            }
            // An event that is JSON and no upload is acknowledged, so that it is never here.
            Self::Events => {
                serde_json::from_str::<IgnoredAny>(body).map_err(|error| error.to_string())?;
                Ok(None)
            }
        }
    }
}
