//! Drains the dead-letter queues: messages that a queue moved there become dead letters.

use std::{sync::Arc, time::Duration};

use flota_core::{
    DeadLetter, ModelDirectory, PortResult, QueueName, QueueNames, Reason,
    consume::dead_letter_unreadable,
    limits::MAX_QUEUE_BATCH,
    ports::{Clock, DeadLetters, Delivery, Queue},
};
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    metrics,
    queues::{QueueKind, fleet_queues},
};

/// How long a poll of a dead-letter queue waits. With a wait, SQS asks all its servers.
const WAIT: Duration = Duration::from_secs(1);
/// Duration of the lease. Storing ten dead letters takes far less.
const LEASE: Duration = Duration::from_secs(60);

/// Drains all dead-letter queues of the fleet at intervals.
pub(crate) struct DlqDrain {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue_names: QueueNames,
    pub(crate) interval: Duration,
}

impl DlqDrain {
    /// Runs until `stop`. Errors do not end it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.empty_all(&stop).await {
                warn!(%error, "emptying the dead-letter queues failed");
            }
        }
    }

    /// Drains each queue. A failure of one does not affect the others.
    async fn empty_all(&self, stop: &CancellationToken) -> PortResult<()> {
        let known = self.directory.known().await?;
        for (queue, carries) in fleet_queues(&known, &self.queue_names) {
            let Some(net) = self.queue.dlq(&queue) else { continue };
            if stop.is_cancelled() {
                break;
            }
            if let Err(error) = self.empty(&net, &queue, carries, stop).await {
                warn!(queue = %net, %error, "emptying a dead-letter queue failed");
            }
        }
        Ok(())
    }

    async fn empty(
        &self,
        net: &QueueName,
        queue: &QueueName,
        carries: QueueKind,
        stop: &CancellationToken,
    ) -> PortResult<()> {
        loop {
            let deliveries = self.queue.receive(net, MAX_QUEUE_BATCH, WAIT, LEASE).await?;
            if deliveries.is_empty() {
                return Ok(());
            }
            for delivery in &deliveries {
                self.keep(queue, carries, delivery).await?;
            }
            let receipts: Vec<_> = deliveries.into_iter().map(|d| d.receipt).collect();
            // A message that is not acknowledged is delivered again and stored under the same id.
            for acknowledged in self.queue.ack(net, &receipts).await? {
                acknowledged?;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn keep(
        &self,
        queue: &QueueName,
        carries: QueueKind,
        delivery: &Delivery,
    ) -> PortResult<()> {
        let (dead_letters, now) = (self.dead_letters.as_ref(), self.clock.now());
        let reason = match carries.read(&delivery.body) {
            Ok(model) => {
                let letter = DeadLetter::crashed(queue, model, delivery, now);
                dead_letters.put(&letter).await?;
                warn!(%queue, dead_letter.id = letter.id,
                    "a message was received too often and never acknowledged, it is dead-lettered");
                letter.reason
            }
            Err(why) => {
                dead_letter_unreadable(dead_letters, queue, &delivery.body, &why, now).await?;
                Reason::Unreadable
            }
        };
        metrics::dlq_message(queue, reason);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Fixture, crashed, until};

    #[tokio::test(start_paused = true)]
    async fn what_queues_gave_up_is_a_dead_letter_and_can_be_sent_again() {
        let fixture = Fixture::new().await;
        fixture.start();
        fixture.submit(2, &["cat"], None).await;
        let tasks = fixture.take_tasks("cat").await.remove(0);
        let body = tasks.encode().unwrap();
        let outcomes = crashed(&tasks).encode().unwrap();
        let queue = fixture.tasks_queue("cat");
        let outcomes_queue = fixture.settings.queue_names().outcomes();
        for (queue, body) in [
            (&queue, body.clone()),
            (&queue, "no task".to_owned()),
            (&outcomes_queue, outcomes.clone()),
        ] {
            fixture.send(&queue.dlq(), body).await;
        }
        let list = async || fixture.get("/v1/dead-letters").await.json["dead_letters"].clone();
        until(async || list().await.as_array().unwrap().len() == 3).await;
        let letters = list().await;
        let of = |reason: &str, queue: &flota_core::QueueName| {
            let mut letters = letters.as_array().unwrap().iter();
            letters.find(|l| l["reason"] == reason && l["queue"] == queue.as_str()).unwrap().clone()
        };
        let given_up = of("CRASHED", &queue);
        assert_eq!((&given_up["model"], &given_up["body"]), (&json!("cat"), &json!(body)));
        assert_eq!(of("UNREADABLE", &queue)["body"], "no task");
        let report = of("CRASHED", &outcomes_queue);
        assert_eq!(report["body"], json!(outcomes));
        for net in [queue.dlq(), outcomes_queue.dlq()] {
            let depth = fixture.platform.queue.depth(&net).await.unwrap();
            assert_eq!(depth, Default::default(), "{net} is empty");
        }

        // A replay sends the message to its original queue again, and cannot evaluate it.
        let replay = fixture.post("/v1/dead-letters/replay", r#"{"model": "cat"}"#).await.json;
        let path = format!("/v1/replays/{}", replay["id"].as_str().unwrap());
        until(async || fixture.get(&path).await.json["state"] == "completed").await;
        assert_eq!(fixture.get(&path).await.json["counts"]["resent"], 1);
        assert_eq!(fixture.take_tasks("cat").await, [tasks]);

        // The message fails again, and has another dead letter.
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        fixture.send(&queue.dlq(), body).await;
        until(async || list().await.as_array().unwrap().len() == 3).await;
        let path = format!("/v1/dead-letters/{}/replay", report["id"].as_str().unwrap());
        assert_eq!(fixture.post(&path, "").await.status.as_u16(), 200);
        until(async || {
            let letters = fixture.get("/v1/dead-letters?reason=WORKER_CRASHED").await.json;
            letters["dead_letters"].as_array().unwrap().len() == 2
        })
        .await;
    }
}
