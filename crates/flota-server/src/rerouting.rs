//! Reroutes tasks on queues of workers that no longer serve any model to the workers that serve
//! these models now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_core::{
    KnownModels, ModelDirectory, PortError, PortResult, QueueName, QueueNames, TaskMessage,
    TasksMessage, WorkerName,
    consume::{Unreadable, dead_letter_unreadable},
    limits::MAX_QUEUE_BATCH,
    ports::{Clock, DeadLetters, Delivery, NewMessage, Queue},
    with_causes,
};
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics;

/// How often queues are checked. Tasks on the queue of a stopped worker wait at most this long.
const INTERVAL: Duration = Duration::from_secs(30);
/// Duration of the lease. Rerouting ten messages takes far less.
const LEASE: Duration = Duration::from_secs(60);

/// Empties the queues of former workers at intervals.
pub(crate) struct Rerouting {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue_names: QueueNames,
    /// Queues whose tasks could not be rerouted and for which that was logged.
    pub(crate) complained: Mutex<BTreeSet<QueueName>>,
}

impl Rerouting {
    /// Runs until `stop`. Errors do not end it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.move_all(&stop).await {
                warn!(%error, "looking for workers that were given up failed");
            }
        }
    }

    async fn move_all(&self, stop: &CancellationToken) -> PortResult<()> {
        let known = self.directory.known_now().await?;
        for worker in known.former_workers(self.clock.now()) {
            for (_, queue) in self.queue_names.tasks_of(worker) {
                if let Err(error) = self.empty(&queue, &known, stop).await {
                    self.complain(&queue, &error);
                }
            }
        }
        Ok(())
    }

    /// Reroutes the messages that can be received now.
    async fn empty(
        &self,
        queue: &QueueName,
        known: &KnownModels,
        stop: &CancellationToken,
    ) -> PortResult<()> {
        while !stop.is_cancelled() && self.queue.depth(queue).await?.ready > 0 {
            let received =
                self.queue.receive(queue, MAX_QUEUE_BATCH, Duration::ZERO, LEASE).await?;
            if received.is_empty() {
                break;
            }
            for delivery in received {
                self.send_on(queue, &delivery, known).await?;
                // A message that is not acknowledged is delivered again; rerouting it twice has no
                // effect.
                self.queue.ack(queue, &[delivery.receipt]).await?;
            }
        }
        Ok(())
    }

    /// Sends the tasks of a message to the workers of their models. A message that cannot be
    /// decoded is dead-lettered.
    async fn send_on(
        &self,
        queue: &QueueName,
        delivery: &Delivery,
        known: &KnownModels,
    ) -> PortResult<()> {
        let (message, parts) = match cut(&delivery.body, known) {
            Ok(cut) => cut,
            Err(why) => {
                let (dead_letters, now) = (self.dead_letters.as_ref(), self.clock.now());
                return dead_letter_unreadable(dead_letters, queue, &delivery.body, &why, now)
                    .await;
            }
        };
        for (worker, new) in parts {
            let to = self.queue_names.tasks(worker, message.priority);
            self.queue.send(&to, &[new]).await?.into_iter().collect::<PortResult<()>>()?;
        }
        metrics::rerouted(queue, message.tasks.len());
        Ok(())
    }

    /// Logs a permanent error once per queue: an operator may delete the queue of a former worker.
    fn complain(&self, queue: &QueueName, error: &PortError) {
        let mut complained = self.complained.lock().expect("nothing panics under this lock");
        if error.is_transient() || complained.insert(queue.clone()) {
            warn!(%queue, error = with_causes(error), "tasks of a worker that was given up could \
                not be moved");
        }
    }
}

/// A message, and its parts for each worker.
type Cut<'w> = (TasksMessage, Vec<(&'w WorkerName, NewMessage)>);

/// Decodes `body` and splits it by the workers that serve the models now.
///
/// # Errors
/// Why it cannot be decoded or sent.
fn cut<'w>(body: &str, known: &'w KnownModels) -> Result<Cut<'w>, Unreadable> {
    let message = TasksMessage::decode(body)?;
    let mut by_worker: BTreeMap<&WorkerName, Vec<TaskMessage>> = BTreeMap::new();
    for task in &message.tasks {
        let worker = known.worker(&task.model);
        let worker =
            worker.ok_or_else(|| Unreadable::new(format!("no model `{}` is known", task.model)))?;
        by_worker.entry(worker).or_default().push(task.clone());
    }
    let mut parts = Vec::new();
    for (worker, tasks) in by_worker {
        let part = TasksMessage { tasks, client: message.client.clone(), ..message };
        parts.push((worker, part.to_new_message()?));
    }
    Ok((message, parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, register, until};

    #[tokio::test(start_paused = true)]
    async fn tasks_of_a_worker_that_was_given_up_go_to_who_serves_their_models() {
        let fixture = Fixture::new().await;
        for worker in ["photo", "text"] {
            for model in ["cat", "dog"] {
                register(&fixture.platform, model, "1", worker).await;
            }
            // Submissions may use the cached worker until then.
            time::advance(Duration::from_secs(1)).await;
            fixture.submit(3, &["cat", "dog"], None).await;
        }
        fixture.submit(25, &["cat"], None).await;
        fixture.send(&fixture.tasks_queue("text"), "no task".to_owned()).await;
        // One task returns to its own worker, the other goes to another one.
        register(&fixture.platform, "cat", "1", "cat").await;
        register(&fixture.platform, "dog", "1", "photo").await;
        fixture.start();
        let ready = async |worker: &str| {
            fixture.platform.queue.depth(&fixture.tasks_queue(worker)).await.unwrap().ready
        };
        until(async || ready("text").await == 0).await;
        let models = |messages: Vec<TasksMessage>| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for task in messages.into_iter().flat_map(|message| message.tasks) {
                *counts.entry(task.model.to_string()).or_default() += 1;
            }
            counts.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(models(fixture.take_tasks("cat").await), [("cat".to_owned(), 28)]);
        // Tasks on the queue of a worker that still serves a model are rerouted by that worker.
        let of_photo = [("cat".to_owned(), 3), ("dog".to_owned(), 6)];
        assert_eq!(models(fixture.take_tasks("photo").await), of_photo);
        let letters = fixture.get("/v1/dead-letters").await.json["dead_letters"].clone();
        assert_eq!(letters[0]["reason"], "UNREADABLE");
    }
}
