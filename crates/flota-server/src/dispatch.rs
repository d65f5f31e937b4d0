//! Sends the open tasks of a round to the queues of their workers.

use std::{collections::BTreeMap, sync::Arc};

use flota_core::{
    KnownModels, ModelDirectory, Pack, QueueNames, Request, TaskMessage, TaskSource, TasksMessage,
    WireError, WorkerName,
    limits::MAX_QUEUE_BATCH,
    ports::{NewMessage, Queue},
};
use futures::future::join_all;
use tracing::{error, warn};

use crate::metrics;

/// The copy number of each pack, by index. Packs that are absent have 0.
pub(crate) type Copies = BTreeMap<u32, u32>;

/// Sends packs. The sweeper sends what fails here.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) queue_names: QueueNames,
}

impl Dispatcher {
    /// Like [`Dispatcher::send`], but to the workers that serve the models now. Models may have
    /// moved since the request was accepted.
    pub(crate) async fn send_again(
        &self,
        request: &Request,
        round: u32,
        packs: &[Pack],
        copies: &Copies,
    ) -> bool {
        let known = match self.directory.known().await {
            Ok(known) => known,
            Err(error) => {
                warn!(request.id = %request.id, %error,
                    "the models could not be read, tasks are sent to the workers that the request names");
                return self.send_copies(request, round, packs, copies).await;
            }
        };
        self.send_copies(request, round, &reroute(request, packs, &known), copies).await
    }

    /// Sends each of `packs` as one message. The packs hold only the tasks to run. True if all were
    /// sent.
    pub(crate) async fn send(&self, request: &Request, round: u32, packs: &[Pack]) -> bool {
        self.send_copies(request, round, packs, &Copies::new()).await
    }

    async fn send_copies(
        &self,
        request: &Request,
        round: u32,
        packs: &[Pack],
        copies: &Copies,
    ) -> bool {
        let batches = packs
            .chunk_by(|a, b| a.worker == b.worker)
            .flat_map(|of_worker| of_worker.chunks(MAX_QUEUE_BATCH))
            .map(|batch| self.send_batch(request, round, batch, copies));
        let unsent_count: usize = join_all(batches).await.into_iter().sum();
        if unsent_count > 0 {
            metrics::dispatch_failed(unsent_count);
        }
        unsent_count == 0
    }

    /// Sends packs of one worker, and returns how many were not sent.
    async fn send_batch(
        &self,
        request: &Request,
        round: u32,
        batch: &[Pack],
        copies: &Copies,
    ) -> usize {
        let queue = &self.queue_names.tasks(&batch[0].worker, request.priority);
        let copy = |pack: &Pack| copies.get(&pack.index).copied().unwrap_or(0);
        let encoded: Result<Vec<NewMessage>, WireError> =
            batch.iter().map(|pack| message(request, round, pack, copy(pack))).collect();
        let messages = match encoded {
            Ok(messages) => messages,
            Err(error) => {
                error!(request.id = %request.id, %error, "tasks do not fit a message");
                return batch.len();
            }
        };
        let failures: Vec<_> = match self.queue.send(queue, &messages).await {
            Ok(entries) => entries.into_iter().filter_map(Result::err).collect(),
            Err(error) => {
                warn!(request.id = %request.id, %queue, %error,
                    "sending tasks failed, the sweeper will send them");
                return messages.len();
            }
        };
        if let Some(error) = failures.first() {
            warn!(request.id = %request.id, %queue, %error, failure_count = failures.len(),
                "some tasks were not sent, the sweeper will send them");
        }
        failures.len()
    }
}

fn message(request: &Request, round: u32, pack: &Pack, copy: u32) -> Result<NewMessage, WireError> {
    let tasks = pack.tasks.iter().filter_map(|n| request.task(*n)).map(|task| TaskMessage {
        n: task.id.n,
        image: task.image.url.clone(),
        model: task.route.model.clone(),
        tries: 0,
        faults: Vec::new(),
        fetch_retries: None,
    });
    let body = TasksMessage {
        source: TaskSource::Request(request.id),
        round,
        pack: pack.index,
        copy,
        client: request.client.clone(),
        priority: request.priority,
        deadline: None,
        tasks: tasks.collect(),
    };
    body.to_new_message()
}

/// Splits `packs` by the workers that serve the models now. Tasks of a model without a worker stay
/// with the worker of their pack.
fn reroute(request: &Request, packs: &[Pack], known: &KnownModels) -> Vec<Pack> {
    let mut routed: BTreeMap<(WorkerName, u32), Vec<u32>> = BTreeMap::new();
    for pack in packs {
        for n in &pack.tasks {
            let model = request.task(*n).map(|task| &task.route.model);
            let worker = model.and_then(|model| known.worker(model)).unwrap_or(&pack.worker);
            routed.entry((worker.clone(), pack.index)).or_default().push(*n);
        }
    }
    let pack = |((worker, index), tasks)| Pack { index, worker, tasks };
    routed.into_iter().map(pack).collect()
}

/// The packs with a task for which `is_open` is true, reduced to these tasks.
pub(crate) fn open_packs(packs: Vec<Pack>, is_open: impl Fn(&Pack, u32) -> bool) -> Vec<Pack> {
    let keep = |pack: Pack| {
        let tasks: Vec<u32> = pack.tasks.iter().copied().filter(|n| is_open(&pack, *n)).collect();
        (!tasks.is_empty()).then_some(Pack { tasks, ..pack })
    };
    packs.into_iter().filter_map(keep).collect()
}
