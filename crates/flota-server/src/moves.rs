//! Tasks on queues of workers that no longer serve any model: whoever serves theirs now gets them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use flota_core::{
    DeadLetter, Lane, ModelName, PortError, PortResult, QueueName, TaskMessage, TasksMessage,
    WorkerName,
    limits::MAX_QUEUE_BATCH,
    ports::{Clock, DeadLetters, Delivery, Models, NewMessage, Queue, Receipt},
};
use metrics::counter;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// How often it looks. A worker that stops has emptied its hands; what lies on its queue waits for so
/// long at most.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a message is ours: far longer than sending ten on takes.
const LEASE: Duration = Duration::from_secs(60);

/// Moves what lies on such queues, again and again.
pub(crate) struct Moves {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) models: Arc<dyn Models>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The beginning of the queues' names.
    pub(crate) prefix: String,
}

/// Which worker serves a model now.
type Workers = BTreeMap<ModelName, WorkerName>;

impl Moves {
    /// Runs until `stop`. No error ends it.
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
        let known = self.models.list(self.clock.now()).await?;
        let registrations = || known.iter().map(|model| &model.registration);
        let workers: Workers =
            registrations().map(|it| (it.manifest.name.clone(), it.worker.clone())).collect();
        let serving: BTreeSet<&WorkerName> = workers.values().collect();
        let former: BTreeSet<&WorkerName> =
            registrations().flat_map(|it| it.former_workers.keys()).collect();
        for worker in former.difference(&serving) {
            let queue = QueueName::tasks(&self.prefix, worker, Lane::Normal);
            match self.empty(&queue, &workers, stop).await {
                Ok(0) => {}
                Ok(count) => info!(%queue, count, "tasks were moved to other workers"),
                // Whoever knows that a queue is empty may remove it.
                Err(PortError::Permanent { what, .. }) => debug!(%queue, what, "no such queue"),
                Err(error) => warn!(%queue, %error, "tasks could not be moved"),
            }
        }
        Ok(())
    }

    /// Moves what can be received now; how many tasks that was.
    async fn empty(
        &self,
        queue: &QueueName,
        workers: &Workers,
        stop: &CancellationToken,
    ) -> PortResult<u64> {
        let mut count = 0;
        while !stop.is_cancelled() && self.queue.depth(queue).await?.ready > 0 {
            let received =
                self.queue.receive(queue, MAX_QUEUE_BATCH, Duration::ZERO, LEASE).await?;
            if received.is_empty() {
                break;
            }
            count += self.send_on(queue, received, workers).await?;
        }
        counter!("flota_tasks_moved_total").increment(count);
        Ok(count)
    }

    /// Sends what `received` holds to the workers of its models, then settles it; how many tasks.
    async fn send_on(
        &self,
        queue: &QueueName,
        received: Vec<Delivery>,
        workers: &Workers,
    ) -> PortResult<u64> {
        let mut outgoing: BTreeMap<QueueName, Vec<NewMessage>> = BTreeMap::new();
        let mut count = 0;
        for delivery in &received {
            let message = match TasksMessage::decode(&delivery.body) {
                Ok(message) => message,
                Err(error) => {
                    let (why, now) = (error.to_string(), self.clock.now());
                    let letter = DeadLetter::unreadable(queue.as_str(), &delivery.body, why, now);
                    self.dead_letters.put(&letter).await?;
                    continue;
                }
            };
            let mut by_worker: BTreeMap<&WorkerName, Vec<TaskMessage>> = BTreeMap::new();
            for task in &message.tasks {
                let worker = workers.get(&task.model).ok_or_else(|| {
                    PortError::transient("moving tasks", format!("nobody knows `{}`", task.model))
                })?;
                by_worker.entry(worker).or_default().push(task.clone());
                count += 1;
            }
            for (worker, tasks) in by_worker {
                let part = TasksMessage { tasks, client: message.client.clone(), ..message };
                let body = part.encode().expect("a part of a message that fitted fits");
                let (group, trace) = (part.client.to_string(), Some(part.origin.trace()));
                let queue = QueueName::tasks(&self.prefix, worker, part.lane);
                let new = NewMessage {
                    body,
                    delay: Duration::ZERO,
                    group,
                    trace,
                    patience: Duration::ZERO,
                };
                outgoing.entry(queue).or_default().push(new);
            }
        }
        for (queue, messages) in outgoing {
            for batch in messages.chunks(MAX_QUEUE_BATCH) {
                self.queue.send(&queue, batch).await?.into_iter().collect::<PortResult<()>>()?;
            }
        }
        let receipts: Vec<Receipt> =
            received.into_iter().map(|delivery| delivery.receipt).collect();
        // What is not settled comes again, and changes nothing a second time.
        self.queue.settle(queue, &receipts).await?;
        Ok(count)
    }
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
            // Until then submissions may go to the worker of before.
            time::advance(Duration::from_secs(1)).await;
            fixture.submit(3, &["cat", "dog"], None).await;
        }
        fixture.submit(25, &["cat"], None).await;
        fixture.send(&fixture.tasks_queue("text"), "no task".to_owned()).await;
        // The one goes back to its own worker, the other to another.
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
        // What lay on the queue of a worker that serves still is that worker's to send on.
        let of_photo = [("cat".to_owned(), 3), ("dog".to_owned(), 6)];
        assert_eq!(models(fixture.take_tasks("photo").await), of_photo);
        let letters = fixture.get("/v1/dead-letters").await.json["dead_letters"].clone();
        assert_eq!(letters[0]["reason"], "UNREADABLE");
    }
}
