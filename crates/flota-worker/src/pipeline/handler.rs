//! What the consume loop runs for each message: one pack, from its tasks to its outcomes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    DeadLetter, ModelName, PortError, PortResult, QueueName, TaskMessage, TasksMessage, WireError,
    WorkerName, backoff,
    consume::{Handled, Handler, Lease},
    limits::MAX_MESSAGE_DELAY,
    ports::{Delivery, NewMessage},
};
use flota_platform::Platform;
use futures::future::try_join_all;
use tracing::Instrument;

use super::{
    compute::Compute,
    end::End,
    gate::Gate,
    in_hand::InHand,
    known::Known,
    outbox::Outbox,
    parked::Parked,
    report::{Report, bodies},
    served::Served,
    task::Received,
};
use crate::{metrics, throughput::ThroughputMeter};

/// The part of the time for which a task has waited on its queue that its outcome may wait as well.
const PATIENCE_PART: u32 = 10;

/// The pipeline of a worker: poll, fetch, decode, batch, infer, report.
pub(crate) struct Pipeline {
    pub(crate) worker: WorkerName,
    /// The beginning of the queues' names.
    pub(crate) prefix: String,
    pub(crate) served: BTreeMap<ModelName, Arc<Served>>,
    pub(crate) retry: Retry,
    /// When the sweeper sends the first copy of a pack, by its age.
    pub(crate) copied_after: Duration,
    /// The queue that the worker takes its tasks from.
    pub(crate) queue: QueueName,
    pub(crate) platform: Platform,
    pub(crate) known: Known,
    pub(crate) in_hand: InHand,
    pub(crate) compute: Arc<Compute>,
    pub(crate) gate: Gate,
    /// Held by the one group of suspects that runs.
    pub(crate) grouping: tokio::sync::Mutex<()>,
    /// Most suspects of a group: each holds a place among the images that are fetched.
    pub(crate) max_group: usize,
    /// To the recorder.
    pub(crate) outcomes: Outbox,
    /// What goes into the worker's heartbeat.
    pub(crate) throughput: Arc<ThroughputMeter>,
    /// Back onto the worker's own queue.
    pub(crate) tasks: Outbox,
    /// Onto the queues of workers that models have moved to.
    pub(crate) elsewhere: Mutex<BTreeMap<QueueName, Outbox>>,
}

/// How long a task waits that is tried again.
pub(crate) struct Retry {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    /// How long it is tried again after faults of its image's host.
    pub(crate) fetch_for: Duration,
}

#[async_trait]
impl Handler for Pipeline {
    fn weigh(&self, delivery: &Delivery) -> usize {
        TasksMessage::decode(&delivery.body).map_or(1, |message| message.tasks.len().max(1))
    }

    async fn handle(&self, delivery: Delivery, lease: Lease) -> PortResult<Handled> {
        if lease.stopping() {
            return Ok(Handled::GiveBack);
        }
        let message = match TasksMessage::decode(&delivery.body) {
            Ok(message) => message,
            Err(error) => return self.put_away(&delivery, &error).await,
        };
        let span = tracing::info_span!(
            "delivery", origin = %message.origin, message.pack, delivery.receive_count
        );
        let _in_hand = metrics::TasksInHand::new(message.tasks.len());
        let _busy = self.throughput.begin(&message);
        let waited = self.platform.clock.now().duration_since(delivery.sent_at);
        let queued_ms = (waited.as_secs_f64() * 1_000.0).max(0.0);
        let is_again = delivery.receive_count > 1;
        let waiting = lease.clone();
        let work = async {
            let Some(message) = self.still_open(message, is_again, queued_ms).await? else {
                return Ok(Handled::Settle);
            };
            let received = Received { message, lease, queued_ms };
            match is_again {
                false => self.run_pack(&received).await,
                true => self.run_suspects(&received).await,
            }
        };
        tokio::select! {
            biased;
            // Another has the message by now, and what this one did is dropped.
            () = waiting.lost() => Ok(Handled::GiveBack),
            handled = work.instrument(span) => handled,
        }
    }
}

impl Pipeline {
    /// `message` with only the tasks that have no outcome yet; `None` where all have, or where a later
    /// copy of it was sent. What cannot have been copied yet is not looked up: that costs a read.
    /// Nobody keeps how tasks of upload events end; where one has, its prediction is cached.
    async fn still_open(
        &self,
        mut message: TasksMessage,
        is_again: bool,
        queued_ms: f64,
    ) -> PortResult<Option<TasksMessage>> {
        let is_old = queued_ms >= self.copied_after.as_secs_f64() * 1_000.0;
        let Some(key) = message.pack_key().filter(|_| is_again || is_old || message.copy > 0)
        else {
            return Ok(Some(message));
        };
        let record = self.platform.requests.pack(key).await?;
        let task_count = message.tasks.len();
        message.tasks.retain(|task| !record.outcomes.contains_key(&task.n));
        if record.resent.is_some_and(|resend| resend.copy > message.copy) {
            message.tasks.clear();
        }
        metrics::dropped(task_count - message.tasks.len());
        Ok((!message.tasks.is_empty()).then_some(message))
    }

    async fn run_pack(&self, received: &Received) -> PortResult<Handled> {
        let images = received.message.tasks.chunk_by(|a, b| a.image == b.image);
        let ends = try_join_all(images.map(|tasks| self.run_image(tasks, received))).await?;
        let ends: Vec<End> = ends.into_iter().flatten().collect();
        if ends.iter().all(|end| matches!(end, End::NotBegun(_))) && !ends.is_empty() {
            return Ok(Handled::GiveBack);
        }
        received.lease.reporting();
        self.report_ends(received, ends).await?;
        Ok(Handled::Settle)
    }

    /// Makes what became of tasks durable: outcomes for the recorder, and the rest as new messages
    /// for a worker.
    pub(crate) async fn report_ends(&self, received: &Received, ends: Vec<End>) -> PortResult<()> {
        let (mut reports, mut again, mut not_begun) = (Vec::new(), Vec::new(), Vec::new());
        let (mut waits, mut parked) = (Vec::new(), Parked::default());
        let mut elsewhere: BTreeMap<WorkerName, Vec<TaskMessage>> = BTreeMap::new();
        for end in ends {
            match end {
                End::Done(report) => reports.push(*report),
                End::Again(task) => again.push(task),
                End::Parked(task, delay) => parked.add(task, delay),
                End::NotBegun(task) => not_begun.push(task),
                End::Waits(task) => waits.push(task),
                End::Elsewhere(task, worker) => elsewhere.entry(worker).or_default().push(task),
            }
        }
        let message = &received.message;
        let told = bodies(message, &reports).map_err(unsendable)?;
        // Who has waited long may wait a little longer: fuller calls are fewer.
        let queued = Duration::try_from_secs_f64(received.queued_ms / 1_000.0).unwrap_or_default();
        let patience = queued / PATIENCE_PART;
        let told = told
            .into_iter()
            .map(|body| NewMessage { patience, ..new_message(body, Duration::ZERO, message) })
            .collect();
        metrics::retried(again.len());
        let wait = again.iter().map(|task| task.tries).max().map(|tries| {
            let random = self.platform.clock.random();
            backoff(tries, self.retry.base, self.retry.cap, random).min(MAX_MESSAGE_DELAY)
        });
        let mut rest = Vec::new();
        for (tasks, delay) in parked.into_groups() {
            rest.push(self.rest(message, tasks, delay)?);
        }
        let patient = (waits, self.retry.cap.min(MAX_MESSAGE_DELAY));
        let begun = (again, wait.unwrap_or_default());
        for (tasks, delay) in [begun, patient, (not_begun, Duration::ZERO)] {
            if !tasks.is_empty() {
                rest.push(self.rest(message, tasks, delay)?);
            }
        }
        tokio::try_join!(self.outcomes.send(told), self.tasks.send(rest))?;
        for (worker, tasks) in elsewhere {
            metrics::moved(tasks.len());
            let queue = QueueName::tasks(&self.prefix, &worker, message.lane);
            self.send_on(queue, self.rest(message, tasks, Duration::ZERO)?).await?;
        }
        reports.iter().for_each(|report| self.log(message, report));
        Ok(())
    }

    fn rest(
        &self,
        message: &TasksMessage,
        tasks: Vec<TaskMessage>,
        delay: Duration,
    ) -> PortResult<NewMessage> {
        let rest = TasksMessage { tasks, client: message.client.clone(), ..*message };
        let body = rest.encode().map_err(unsendable)?;
        Ok(NewMessage { tasks: rest.task_counts(), ..new_message(body, delay, message) })
    }

    fn log(&self, message: &TasksMessage, report: &Report) {
        metrics::ended(&report.model, &report.outcome);
        self.throughput.ended(&report.model);
        let flota_core::TaskOutcome { n, outcome } = &report.outcome;
        let id = message.origin.task(*n);
        match &outcome.ending {
            flota_core::Ending::Failed { code, message } => {
                tracing::info!(task.id = %id, model = %report.model, %code, message,
                    attempts = outcome.attempts, "task failed");
            }
            _ => tracing::debug!(task.id = %id, model = %report.model,
                timings = ?outcome.timings, "task done"),
        }
    }

    async fn put_away(&self, delivery: &Delivery, error: &WireError) -> PortResult<Handled> {
        let now = self.platform.clock.now();
        let letter =
            DeadLetter::unreadable(self.queue.as_str(), &delivery.body, error.to_string(), now);
        self.platform.dead_letters.put(&letter).await?;
        metrics::unreadable(self.queue.as_str());
        tracing::error!(queue = %self.queue, dead_letter.id = letter.id, %error,
            "a message cannot be read, it is kept as a dead letter");
        Ok(Handled::Settle)
    }
}

/// A message with what follows from `message`.
fn new_message(body: String, delay: Duration, message: &TasksMessage) -> NewMessage {
    let (group, trace) = (message.client.to_string(), Some(message.origin.trace()));
    NewMessage { delay, trace, pack: message.pack_key(), ..NewMessage::new(body, group) }
}

fn unsendable(error: WireError) -> PortError {
    PortError::permanent("writing a message", error)
}
