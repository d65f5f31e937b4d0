use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
};

use flota_core::{
    ClientName, EventsId, KnownModels, ModelDirectory, ModelName, ObjectAddress, PortError,
    PortResult, Priority, QueueName, QueueNames, TaskMessage, TaskSource, TasksMessage, WorkerName,
    limits::{MAX_PACK_TASKS, MAX_QUEUE_BATCH},
    ports::{Clock, NewMessage, Queue},
};
use tracing::warn;

use super::handler::Wanted;
use crate::{
    cache::{PredictionCache, Query},
    metrics::{self, UploadResult},
};

/// Sends the tasks of uploads to their workers, in packs.
pub(super) struct Packer {
    pub(super) directory: Arc<ModelDirectory>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) cache: PredictionCache,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue_names: QueueNames,
}

/// One object for one model, even if several events ask for it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    object: ObjectAddress,
    model: ModelName,
}

/// The tasks for one queue, each with the indices of the arrivals that ask for it.
type Load = BTreeMap<Task, BTreeSet<usize>>;

impl Packer {
    /// Sends the tasks of `arrivals`, except those with a cached prediction. For each arrival,
    /// returns whether all of its tasks were sent.
    pub(super) async fn send(&self, arrivals: Vec<Vec<Wanted>>) -> Vec<PortResult<()>> {
        // Tasks are left out by the model's version, which therefore must be the current one.
        let known = match self.directory.known_now().await {
            Ok(known) => known,
            Err(error) => return vec![Err(not_sent(error)); arrivals.len()],
        };
        let mut failures: BTreeMap<usize, String> = BTreeMap::new();
        let mut loads: BTreeMap<(WorkerName, Priority), Load> = BTreeMap::new();
        for (arrival, uploads) in arrivals.iter().enumerate() {
            for wanted in uploads {
                for (priority, model) in &wanted.models {
                    let Some(worker) = known.worker(model) else {
                        failures.insert(arrival, not_registered(model).to_string());
                        continue;
                    };
                    let load = loads.entry((worker.clone(), *priority)).or_default();
                    let task = Task { object: wanted.object.clone(), model: model.clone() };
                    load.entry(task).or_default().insert(arrival);
                }
            }
        }
        self.leave_out_cached(&mut loads, &known).await;
        for ((worker, priority), load) in &loads {
            let queue = self.queue_names.tasks(worker, *priority);
            self.send_load(&queue, *priority, load, &mut failures).await;
        }
        let sent = |arrival| failures.remove(&arrival).map_or(Ok(()), |why| Err(not_sent(why)));
        (0..arrivals.len()).map(sent).collect()
    }

    /// Removes tasks whose prediction by the model's current version is cached. If the store cannot
    /// be read, nothing is removed: this is only an optimization.
    async fn leave_out_cached(
        &self,
        loads: &mut BTreeMap<(WorkerName, Priority), Load>,
        known: &KnownModels,
    ) {
        let tasks: BTreeSet<Task> = loads.values().flat_map(BTreeMap::keys).cloned().collect();
        match self.cached(&tasks, known).await {
            Ok(cached) => {
                metrics::uploads(UploadResult::Cached, cached.len());
                for load in loads.values_mut() {
                    load.retain(|task, _| !cached.contains(task));
                }
            }
            Err(error) => warn!(%error, "prediction cache lookup failed"),
        }
    }

    async fn cached(
        &self,
        tasks: &BTreeSet<Task>,
        known: &KnownModels,
    ) -> PortResult<BTreeSet<Task>> {
        let query = |task: &Task| {
            let content = self.cache.object(&task.object)?;
            let version = known.version(&task.model)?.clone();
            Some(Query { key: task.clone(), content, model: task.model.clone(), version })
        };
        let queries: Vec<_> = tasks.iter().filter_map(query).collect();
        Ok(self.cache.find(&queries).await?.into_keys().collect())
    }

    /// Sends a load in packs. If a pack is not sent, its arrivals are added to `failures`.
    async fn send_load(
        &self,
        queue: &QueueName,
        priority: Priority,
        load: &Load,
        failures: &mut BTreeMap<usize, String>,
    ) {
        let tasks: Vec<(&Task, &BTreeSet<usize>)> = load.iter().collect();
        let packs: Vec<_> = tasks.chunks(MAX_PACK_TASKS).collect();
        for batch in packs.chunks(MAX_QUEUE_BATCH) {
            let messages: Vec<NewMessage> =
                batch.iter().map(|pack| self.message(priority, pack)).collect();
            let sent = match self.queue.send(queue, &messages).await {
                Ok(sent) => sent.into_iter().map(|sent| sent.map_err(|e| e.to_string())).collect(),
                Err(error) => vec![Err(error.to_string()); batch.len()],
            };
            for (pack, sent) in batch.iter().zip(sent) {
                match sent {
                    Ok(()) => metrics::tasks_accepted(pack.len()),
                    Err(error) => {
                        let waiting = pack.iter().flat_map(|(_, arrivals)| *arrivals);
                        failures.extend(waiting.map(|arrival| (*arrival, error.clone())));
                    }
                }
            }
        }
    }

    fn message(&self, priority: Priority, pack: &[(&Task, &BTreeSet<usize>)]) -> NewMessage {
        let task = |(n, (task, _)): (u32, &(&Task, &BTreeSet<usize>))| TaskMessage {
            n,
            image: task.object.to_string(),
            model: task.model.clone(),
            tries: 0,
            faults: Vec::new(),
            fetch_retries: None,
        };
        let message = TasksMessage {
            source: TaskSource::Upload(EventsId(self.clock.uuid())),
            round: 1,
            pack: 0,
            copy: 0,
            client: ClientName::default(),
            priority,
            deadline: None,
            tasks: (0..).zip(pack).map(task).collect(),
        };
        message.to_new_message().expect("a pack of the longest addresses fits a message")
    }
}

/// The error for an upload whose model is not registered yet. The event stays on its queue, because
/// the model may be registered soon.
pub(super) fn not_registered(model: &ModelName) -> PortError {
    let why = format!("a rule for uploads names `{model}`, which no worker has registered");
    PortError::transient("finding the worker of a model", why)
}

fn not_sent(why: impl Into<Box<dyn Error + Send + Sync>>) -> PortError {
    PortError::transient("sending tasks of uploads", why)
}
