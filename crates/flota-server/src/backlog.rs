//! The backlog of each model: how much waits, how fast it arrives and how fast it is processed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_api::ModelBacklog;
use flota_core::{
    ModelDirectory, ModelName, PortResult, QueueName, QueueNames, WorkerName,
    ports::{Backlog, Clock, Depth, Models, Queue, RegisteredModel, Throughput, WorkerHeartbeat},
};
use jiff::Timestamp;
use tracing::warn;

/// Arrivals are measured between two measurements about this far apart.
const ARRIVAL_WINDOW: Duration = Duration::from_secs(60);
/// Older measurements are not used.
const MAX_ARRIVAL_WINDOW: Duration = Duration::from_secs(600);
/// Measurements closer together than this give no rate.
const MIN_ARRIVAL_WINDOW: Duration = Duration::from_secs(5);
/// Received messages that are needed to estimate the tasks per message, if a queue counts only
/// messages.
const ENOUGH_MESSAGES: u64 = 10;

/// Measures backlogs.
pub(crate) struct Backlogs {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) models: Arc<dyn Models>,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue_names: QueueNames,
    pub(crate) history: Mutex<History>,
}

/// Earlier measurements.
#[derive(Default)]
pub(crate) struct History {
    /// The tasks of each worker and model, oldest first.
    tasks: BTreeMap<(WorkerName, ModelName), VecDeque<(Timestamp, u64)>>,
    /// Since when each queue has not been seen empty.
    filled_since: BTreeMap<QueueName, Timestamp>,
}

/// The queues and models of the fleet at one moment.
#[derive(Debug, Default)]
pub(crate) struct Measurement {
    /// The depth of each queue; `None` if it could not be read.
    pub(crate) depths: BTreeMap<QueueName, Option<Depth>>,
    /// The models.
    pub(crate) models: Vec<RegisteredModel>,
    /// The backlog of each model. Models with a queue that could not be read are absent.
    pub(crate) backlogs: BTreeMap<ModelName, ModelBacklog>,
}

/// The content of one queue.
struct Held {
    depth: Depth,
    tasks: BTreeMap<ModelName, u64>,
    oldest_age: Option<Duration>,
}

impl Backlogs {
    /// Measures all models, and all queues that may hold their tasks.
    ///
    /// # Errors
    /// If the models cannot be read. The depth of a queue that cannot be read is `None`, and the
    /// error is logged.
    pub(crate) async fn measure(&self) -> PortResult<Measurement> {
        let now = self.clock.now();
        let models = self.directory.known_now().await?;
        let lines = self.models.workers(now).await?;
        let mut queues = BTreeMap::new();
        for worker in models.workers() {
            let served: Vec<&ModelName> = models
                .iter()
                .filter(|model| model.registration.workers().any(|of_model| of_model == worker))
                .map(|model| &model.registration.manifest.name)
                .collect();
            let lines: Vec<&WorkerHeartbeat> =
                lines.iter().filter(|line| line.worker == *worker).collect();
            for (_, queue) in self.queue_names.tasks_of(worker) {
                let held = self.look_at(&queue, &served, &lines, now).await;
                let held = held.inspect_err(
                    |error| warn!(%queue, %error, "the backlog of a queue could not be read"),
                );
                queues.insert(queue, held.ok());
            }
        }
        let mut backlogs = BTreeMap::new();
        for model in models.iter() {
            if let Some(backlog) = self.of_model(model, &queues, &lines, now) {
                backlogs.insert(model.registration.manifest.name.clone(), backlog);
            }
        }
        let depths = queues.into_iter().map(|(queue, held)| (queue, held.map(|it| it.depth)));
        let models = models.iter().cloned().collect();
        Ok(Measurement { depths: depths.collect(), models, backlogs })
    }

    async fn look_at(
        &self,
        queue: &QueueName,
        served: &[&ModelName],
        lines: &[&WorkerHeartbeat],
        now: Timestamp,
    ) -> PortResult<Held> {
        let depth = self.queue.depth(queue).await?;
        let message_count = depth.ready + depth.in_flight + depth.delayed;
        let filled_since = {
            let since = &mut self.history().filled_since;
            if message_count == 0 {
                since.remove(queue);
            }
            (message_count > 0).then(|| *since.entry(queue.clone()).or_insert(now))
        };
        let (tasks, oldest_at) = match self.queue.backlog(queue, depth).await? {
            Some(Backlog { tasks, oldest_sent_at: Some(at), .. }) => (tasks, Some(at)),
            Some(Backlog { tasks, is_exact: true, .. }) => (tasks, None),
            by_sender => {
                let tasks = by_receivers(lines, message_count)
                    .or(by_sender.map(|backlog| backlog.tasks))
                    .unwrap_or_else(|| spread(message_count, served));
                // The process that has received most recently counts: others may be busy with what
                // they have.
                let drained_to = lines.iter().filter_map(|line| line.drained_to).max();
                (tasks, filled_since.map(|since| drained_to.unwrap_or(since)))
            }
        };
        let oldest_age = oldest_at.filter(|_| depth.ready > 0).map(|at| age(at, now));
        Ok(Held { depth, tasks, oldest_age })
    }

    fn of_model(
        &self,
        model: &RegisteredModel,
        queues: &BTreeMap<QueueName, Option<Held>>,
        lines: &[WorkerHeartbeat],
        now: Timestamp,
    ) -> Option<ModelBacklog> {
        let name = &model.registration.manifest.name;
        let (mut tasks, mut oldest_age) = (0, None);
        let workers: BTreeSet<_> = model.registration.workers().collect();
        for (_, queue) in workers.into_iter().flat_map(|it| self.queue_names.tasks_of(it)) {
            let held = queues.get(&queue)?.as_ref()?;
            let of_queue = held.tasks.get(name).copied().unwrap_or(0);
            tasks += of_queue;
            oldest_age = oldest_age.max(held.oldest_age.filter(|_| of_queue > 0));
        }
        let sum = |time_ms: fn(&Throughput) -> u64| -> f64 {
            // `sum` of an empty iterator would be -0.
            lines.iter().fold(0.0, |sum, line| sum + per_second(&line.throughput, name, time_ms))
        };
        let (service, ended) = (sum(|it| it.busy_ms), sum(|it| it.window_ms));
        let key = (model.registration.worker.clone(), name.clone());
        let growth = self.growth_per_second(key, tasks, now);
        Some(ModelBacklog {
            tasks,
            oldest_age_seconds: oldest_age.map(|age| age.as_secs_f64()),
            arrival_per_second: growth.map(|growth| (ended + growth).max(0.0)),
            service_per_second: service,
            drain_seconds: match tasks {
                0 => Some(0.0),
                _ => (service > 0.0).then(|| tasks as f64 / service),
            },
        })
    }

    /// The growth of a backlog in tasks per second, over about a minute. Negative if it shrank.
    fn growth_per_second(
        &self,
        key: (WorkerName, ModelName),
        tasks: u64,
        now: Timestamp,
    ) -> Option<f64> {
        let history = &mut self.history().tasks;
        let measured = history.entry(key).or_default();
        // The clock may have gone back.
        measured.retain(|(at, _)| *at <= now && age(*at, now) <= MAX_ARRIVAL_WINDOW);
        while measured.get(1).is_some_and(|(at, _)| age(*at, now) >= ARRIVAL_WINDOW) {
            measured.pop_front();
        }
        let before = measured.front().copied();
        let is_far = |(at, _): &(Timestamp, u64)| age(*at, now) >= MIN_ARRIVAL_WINDOW;
        if measured.back().is_none_or(is_far) {
            measured.push_back((now, tasks));
        }
        let (at, before) = before.filter(is_far)?;
        Some((tasks as f64 - before as f64) / age(at, now).as_secs_f64())
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().expect("nothing panics under this lock")
    }
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// Estimates the tasks in `message_count` messages from those that workers received in the last
/// minute. `None` if these were too few.
fn by_receivers(
    lines: &[&WorkerHeartbeat],
    message_count: u64,
) -> Option<BTreeMap<ModelName, u64>> {
    let received: u64 = lines.iter().map(|line| line.throughput.messages).sum();
    if message_count == 0 {
        return Some(BTreeMap::new());
    }
    if received < ENOUGH_MESSAGES {
        return None;
    }
    let mut tasks: BTreeMap<ModelName, u64> = BTreeMap::new();
    for (model, count) in lines.iter().flat_map(|line| &line.throughput.received) {
        *tasks.entry(model.clone()).or_default() += count;
    }
    for count in tasks.values_mut() {
        *count = count.saturating_mul(message_count).div_ceil(received);
    }
    Some(tasks)
}

/// Assumes one task per message, spread evenly over the models, if nothing else is known.
fn spread(message_count: u64, models: &[&ModelName]) -> BTreeMap<ModelName, u64> {
    let each = message_count.div_ceil(models.len().max(1) as u64);
    models.iter().map(|model| ((*model).clone(), each)).collect()
}

/// The tasks of `model` that ended per second of `time_ms`.
fn per_second(throughput: &Throughput, model: &ModelName, time_ms: fn(&Throughput) -> u64) -> f64 {
    let ended = throughput.ended.get(model).copied().unwrap_or(0);
    match time_ms(throughput) {
        0 => 0.0,
        time_ms => ended as f64 * 1_000.0 / time_ms as f64,
    }
}

#[cfg(test)]
mod tests;
