use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flota_core::{
    ClientName, EventsId, ModelName, ObjectAddress, Origin, PortError, PortResult, Priority,
    QueueName, TaskMessage, TasksMessage, WorkerName,
    limits::{MAX_PACK_TASKS, MAX_QUEUE_BATCH},
    ports::{Clock, NewMessage, Queue, Registration},
};
use metrics::counter;
use tracing::warn;

use super::{gatherer::Arrival, served::Served};
use crate::cache::{PredictionCache, Query};

/// Puts tasks of uploads on their workers' queues, by the pack.
pub(super) struct Packer {
    pub(super) served: Served,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) cache: PredictionCache,
    pub(super) clock: Arc<dyn Clock>,
    /// The beginning of the queues' names.
    pub(super) prefix: String,
}

/// One object for one model, however many events ask for it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    object: ObjectAddress,
    model: ModelName,
}

/// The tasks that go to one queue, each with the arrivals that wait for it.
type Load = BTreeMap<Task, BTreeSet<usize>>;

impl Packer {
    /// Sends the tasks of `arrivals` but for those whose prediction is known, and tells each whether
    /// all of its own were sent.
    pub(super) async fn send(&self, arrivals: Vec<Arrival>) {
        let served = self.served_models(&arrivals).await;
        let mut failures: BTreeMap<usize, String> = BTreeMap::new();
        let mut loads: BTreeMap<(WorkerName, Priority), Load> = BTreeMap::new();
        for (arrival, Arrival { wanted, .. }) in arrivals.iter().enumerate() {
            for wanted in wanted {
                for (priority, model) in &wanted.models {
                    match &served[model] {
                        Ok(registration) => {
                            let load = loads.entry((registration.worker.clone(), *priority));
                            let object = wanted.object.clone();
                            let task = Task { object, model: model.clone() };
                            load.or_default().entry(task).or_default().insert(arrival);
                        }
                        Err(error) => drop(failures.insert(arrival, error.to_string())),
                    }
                }
            }
        }
        self.leave_out_cached(&mut loads, &served).await;
        for ((worker, priority), load) in &loads {
            self.send_load(
                &QueueName::tasks(&self.prefix, worker, *priority),
                *priority,
                load,
                &mut failures,
            )
            .await;
        }
        for (index, arrival) in arrivals.into_iter().enumerate() {
            let sent = failures
                .remove(&index)
                .map_or(Ok(()), |why| Err(PortError::transient("sending tasks of uploads", why)));
            // A receiver that is gone has lost its lease: the event comes again.
            let _ = arrival.reply.send(sent);
        }
    }

    async fn served_models(
        &self,
        arrivals: &[Arrival],
    ) -> BTreeMap<ModelName, PortResult<Registration>> {
        let wanted = arrivals.iter().flat_map(|arrival| &arrival.wanted);
        let mut served = BTreeMap::new();
        for (_, model) in wanted.flat_map(|wanted| &wanted.models) {
            if !served.contains_key(model) {
                served.insert(model.clone(), self.served.get(model).await);
            }
        }
        served
    }

    /// Drops the tasks whose object is known, with a prediction of the model's current version. It
    /// saves work and nothing else: where the store does not answer, nothing is known.
    async fn leave_out_cached(
        &self,
        loads: &mut BTreeMap<(WorkerName, Priority), Load>,
        served: &BTreeMap<ModelName, PortResult<Registration>>,
    ) {
        let tasks: BTreeSet<Task> = loads.values().flat_map(BTreeMap::keys).cloned().collect();
        match self.cached(&tasks, served).await {
            Ok(cached) => {
                let count = cached.len() as u64;
                counter!("flota_uploads_total", "result" => "cached").increment(count);
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
        served: &BTreeMap<ModelName, PortResult<Registration>>,
    ) -> PortResult<BTreeSet<Task>> {
        let query = |task: &Task| {
            let content = self.cache.object(&task.object)?;
            let version = served[&task.model].as_ref().ok()?.manifest.version.clone();
            Some(Query { key: task.clone(), content, model: task.model.clone(), version })
        };
        let queries: Vec<_> = tasks.iter().filter_map(query).collect();
        Ok(self.cache.find(&queries).await?.into_keys().collect())
    }

    /// Sends a load by the pack. Of a pack that is not sent, all who wait for it are `failures`.
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
                    Ok(()) => counter!("flota_tasks_accepted_total").increment(pack.len() as u64),
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
            origin: Origin::Events(EventsId(self.clock.uuid())),
            round: 1,
            pack: 0,
            copy: 0,
            client: ClientName::default(),
            priority,
            deadline: None,
            tasks: (0..).zip(pack).map(task).collect(),
        };
        let body = message.encode().expect("a pack of the longest addresses fits a message");
        let group = message.client.to_string();
        let trace = Some(message.origin.trace());
        NewMessage { trace, tasks: message.task_counts(), ..NewMessage::new(body, group) }
    }
}
