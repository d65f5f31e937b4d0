//! Makes the results of tasks durable: outcomes go to the recorder, all other tasks back onto a queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use flota_core::{
    Alias, Ending, OutcomesMessage, PortError, PortResult, QueueNames, TaskMessage, TaskOutcome,
    TasksMessage, WireError, WorkerName, backoff,
    limits::MAX_MESSAGE_DELAY,
    ports::{Clock, NewMessage, Queue},
};
use url::Url;

use super::{
    attempt::PackDelivery,
    result::{EndedTask, RetryPolicy, TaskResult},
    sender::RetryingSender,
};
use crate::{metrics, stages::Stage, throughput::ThroughputMeter};

/// The part of the time for which a task has waited on its queue that its outcome may wait as well.
const LINGER_PART: u32 = 10;

/// Reports the results of a worker's tasks.
pub(crate) struct Reporter {
    /// Whose queues the tasks came from.
    worker: WorkerName,
    queue_names: QueueNames,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    throughput: Arc<ThroughputMeter>,
    sender: RetryingSender,
}

impl Reporter {
    /// A reporter of `worker`.
    pub(crate) fn start(
        queue: &Arc<dyn Queue>,
        queue_names: QueueNames,
        worker: &WorkerName,
        retry: RetryPolicy,
        throughput: Arc<ThroughputMeter>,
    ) -> Self {
        let clock = Arc::clone(&retry.clock);
        let stage = Stage::start("report", 1);
        let sender = RetryingSender::new(Arc::clone(queue), Arc::clone(&clock), stage);
        Self { worker: worker.clone(), queue_names, clock, retry, throughput, sender }
    }

    /// Sends the results of tasks of `delivery`. `Ok` means that all are durable.
    pub(crate) async fn report(
        &self,
        delivery: &PackDelivery,
        results: Vec<TaskResult>,
    ) -> PortResult<()> {
        let (mut ended, mut retried) = (Vec::new(), Vec::new());
        let (mut not_started, mut deferred) = (Vec::new(), Vec::new());
        let mut parked = ParkedTasks::default();
        let mut rerouted: BTreeMap<WorkerName, Vec<TaskMessage>> = BTreeMap::new();
        for result in results {
            match result {
                TaskResult::Ended(task) => ended.push(*task),
                TaskResult::Retry(task) => retried.push(task),
                TaskResult::Parked(task, delay) => parked.add(task, delay),
                TaskResult::NotStarted(task) => not_started.push(task),
                TaskResult::Deferred(task) => deferred.push(task),
                TaskResult::Rerouted(task, worker) => {
                    rerouted.entry(worker).or_default().push(task);
                }
            }
        }
        let message = &delivery.message;
        metrics::retried(retried.len());
        let retry_delay = self.retry_delay(&retried);
        let groups = parked.into_groups().chain([
            (retried, retry_delay),
            (deferred, self.retry.cap.min(MAX_MESSAGE_DELAY)),
            (not_started, Duration::ZERO),
        ]);
        let groups = groups.filter(|(tasks, _)| !tasks.is_empty());
        let rest = groups.map(|(tasks, delay)| tasks_message(message, tasks, delay));
        let rest = rest.collect::<PortResult<Vec<_>>>()?;
        let outcomes = outcomes_messages(delivery, &ended)?;
        let own = self.queue_names.tasks(&self.worker, message.priority);
        let recorder = self.queue_names.outcomes();
        tokio::try_join!(self.sender.send(&recorder, &outcomes), self.sender.send(&own, &rest))?;
        for (worker, tasks) in rerouted {
            metrics::rerouted(tasks.len());
            let queue = self.queue_names.tasks(&worker, message.priority);
            let message = tasks_message(message, tasks, Duration::ZERO)?;
            self.sender.send(&queue, &[message]).await?;
        }
        ended.iter().for_each(|task| self.log(message, task));
        Ok(())
    }

    /// How long tasks wait after a transient fault: as long as the one that was begun most often.
    fn retry_delay(&self, tasks: &[TaskMessage]) -> Duration {
        let tries = tasks.iter().map(|task| task.tries).max();
        let delay = |tries| backoff(tries, self.retry.base, self.retry.cap, self.clock.random());
        tries.map_or(Duration::ZERO, delay).min(MAX_MESSAGE_DELAY)
    }

    fn log(&self, message: &TasksMessage, task: &EndedTask) {
        metrics::ended(&task.model, &task.outcome);
        self.throughput.ended(&task.model);
        let TaskOutcome { n, outcome } = &task.outcome;
        let id = message.source.task(*n);
        match &outcome.ending {
            Ending::Failed { code, message } => {
                tracing::info!(task.id = %id, model = %task.model, %code, message,
                    attempts = outcome.attempts, "task failed");
            }
            _ => tracing::debug!(task.id = %id, model = %task.model,
                timings = ?outcome.timings, "task done"),
        }
    }
}

/// Parked tasks of one message, those of one host together: they travel in one message, as late as the last
/// of them may.
#[derive(Default)]
struct ParkedTasks(BTreeMap<String, (Vec<TaskMessage>, Duration)>);

impl ParkedTasks {
    fn add(&mut self, task: TaskMessage, delay: Duration) {
        // The host of a URL, or the bucket of an object.
        let host = Url::parse(&task.image).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = host.unwrap_or_else(|| task.image.clone());
        let (tasks, latest) = self.0.entry(host).or_default();
        tasks.push(task);
        *latest = delay.max(*latest).min(MAX_MESSAGE_DELAY);
    }

    /// The tasks of each host, and how long they wait.
    fn into_groups(self) -> impl Iterator<Item = (Vec<TaskMessage>, Duration)> {
        self.0.into_values()
    }
}

/// A message with `tasks` of `message`, received after `delay`.
fn tasks_message(
    message: &TasksMessage,
    tasks: Vec<TaskMessage>,
    delay: Duration,
) -> PortResult<NewMessage> {
    let rest = TasksMessage { tasks, client: message.client.clone(), ..*message };
    Ok(NewMessage { delay, ..rest.to_new_message().map_err(not_encoded)? })
}

/// The messages for the recorder. If the tasks waited long on their queue, the outcomes may wait a little
/// longer: fuller calls are fewer.
fn outcomes_messages(delivery: &PackDelivery, ended: &[EndedTask]) -> PortResult<Vec<NewMessage>> {
    let message = &delivery.message;
    let queued = Duration::try_from_secs_f64(delivery.queued_ms / 1_000.0).unwrap_or_default();
    let new = |body| NewMessage { linger: queued / LINGER_PART, ..new_message(body, message) };
    Ok(bodies(message, ended).map_err(not_encoded)?.into_iter().map(new).collect())
}

/// A message of the client, the trace and the pack of `message`.
fn new_message(body: String, message: &TasksMessage) -> NewMessage {
    let (group, trace) = (message.client.to_string(), Some(message.source.trace()));
    NewMessage { trace, pack: message.pack_key(), ..NewMessage::new(body, group) }
}

fn not_encoded(error: WireError) -> PortError {
    PortError::permanent("encoding a message", error)
}

/// The bodies that report `ended` tasks of `tasks`: one where it fits, else more. Each carries every prediction
/// that its outcomes name, for they may be recorded in any order.
///
/// # Errors
/// If a single task does not fit a message, which the bounds on its parts rule out.
fn bodies(tasks: &TasksMessage, ended: &[EndedTask]) -> Result<Vec<String>, WireError> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    match outcomes_message(tasks, ended).encode() {
        Ok(body) => Ok(vec![body]),
        Err(WireError::TooLarge(_)) if ended.len() > 1 => {
            let (first, rest) = ended.split_at(ended.len() / 2);
            let mut all = bodies(tasks, first)?;
            all.append(&mut bodies(tasks, rest)?);
            Ok(all)
        }
        Err(error) => Err(error),
    }
}

fn outcomes_message(tasks: &TasksMessage, ended: &[EndedTask]) -> OutcomesMessage {
    let mut keys = BTreeSet::new();
    let predictions = ended.iter().filter_map(|task| task.prediction.as_deref());
    let aliases: BTreeSet<&Alias> = ended.iter().filter_map(|task| task.alias.as_ref()).collect();
    OutcomesMessage {
        source: tasks.source,
        round: tasks.round,
        pack: tasks.pack,
        outcomes: ended.iter().map(|task| task.outcome.clone()).collect(),
        predictions: predictions.filter(|one| keys.insert(&one.key)).cloned().collect(),
        aliases: aliases.into_iter().cloned().collect(),
        dead_letters: ended.iter().filter_map(|task| task.dead_letter.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use flota_core::{
        Embedding, ImageFacts, Outcome, Output, Prediction, PredictionKey, Sha256, Timings,
        VectorEncoding, limits::MAX_MESSAGE_BYTES,
    };
    use jiff::Timestamp;

    use super::*;
    use crate::pipeline::tests::fleet::pack;

    fn ended(n: u32, content: u32, vector_length: usize) -> EndedTask {
        let key = PredictionKey {
            sha256: Sha256::of(&content.to_le_bytes()),
            model: "means".parse().unwrap(),
            version: flota_core::ModelVersion("1".to_owned()),
        };
        let prediction = Prediction {
            key: key.clone(),
            output: Output::Embedding(
                Embedding::new(vec![1.25; vector_length], VectorEncoding::Json).unwrap(),
            ),
            image: ImageFacts {
                width: 1,
                height: 1,
                format: "png".to_owned(),
                size_bytes: 1,
                flags: Vec::new(),
            },
            computed_at: Timestamp::UNIX_EPOCH,
        };
        let outcome = Outcome {
            ending: Ending::Succeeded { prediction: key, cached: false },
            attempts: 1,
            timings: Timings::default(),
            ended_at: Timestamp::UNIX_EPOCH,
        };
        EndedTask {
            model: "means".parse().unwrap(),
            outcome: TaskOutcome { n, outcome },
            prediction: Some(Arc::new(prediction)),
            alias: None,
            dead_letter: None,
            _flight: None,
        }
    }

    #[test]
    fn large_predictions_are_split_over_messages_that_each_stand_alone() {
        let tasks = pack(1, &["flota://sha256/"; 20]);
        // Three contents, in turn.
        let ended_tasks: Vec<EndedTask> = (0..20).map(|n| ended(n, n % 3, 5_000)).collect();
        let bodies = bodies(&tasks, &ended_tasks).unwrap();
        assert!(bodies.len() > 1);
        let mut reported = Vec::new();
        for body in &bodies {
            assert!(body.len() <= MAX_MESSAGE_BYTES);
            let message = OutcomesMessage::decode(body).unwrap();
            let carried: BTreeSet<_> = message.predictions.iter().map(|p| &p.key).collect();
            assert_eq!(carried.len(), message.predictions.len());
            for task in &message.outcomes {
                let Ending::Succeeded { prediction, .. } = &task.outcome.ending else { panic!() };
                assert!(carried.contains(prediction));
                reported.push(task.n);
            }
        }
        assert_eq!(reported, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn tasks_of_one_host_travel_together_and_no_later_than_a_message_may() {
        let images = ["https://a/1", "https://b/1", "https://a:8443/2", "s3://photos/1"];
        let mut parked = ParkedTasks::default();
        for (task, seconds) in pack(1, &images).tasks.into_iter().zip([1, 2, 3, 100_000]) {
            parked.add(task, Duration::from_secs(seconds));
        }
        let groups = parked.into_groups().map(|(tasks, delay)| {
            (tasks.iter().map(|task| task.n).collect::<Vec<_>>(), delay.as_secs())
        });
        assert_eq!(groups.collect::<Vec<_>>(), [(vec![0, 2], 3), (vec![1], 2), (vec![3], 900)]);
    }

    #[test]
    fn a_pack_that_fits_is_one_message() {
        let ended_tasks: Vec<EndedTask> = (0..20).map(|n| ended(n, n, 8)).collect();
        assert_eq!(bodies(&pack(1, &["flota://sha256/"; 20]), &ended_tasks).unwrap().len(), 1);
        assert!(bodies(&pack(1, &[]), &[]).unwrap().is_empty());
    }
}
