//! The pipeline of a worker: what it is made of, and what it does with a message.

use std::{io, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use flota_core::{
    PortResult, QueueNames, TasksMessage, WorkerName,
    consume::{Handled, Handler, Lease, Unreadable},
    ports::{Clock, Delivery, Requests},
};
use flota_platform::{
    Platform,
    settings::{FetchSettings, ObjectSettings, WorkerSettings},
};
use tracing::Instrument;

use super::{
    attempt::PackDelivery,
    cache::PredictionCache,
    image::ImageRunner,
    infer::{InferShared, LoadedModel},
    prepare::{PrepareLimits, Preparer},
    report::Reporter,
    result::RetryPolicy,
    tasks::{TaskRunner, Worker},
};
use crate::{executor::Executor, metrics, throughput::ThroughputMeter, watchdog::Watchdog};

/// The part of the permits to fetch that an isolated group may take.
const ISOLATED_PART: usize = 2;

/// What a pipeline is made of.
pub(crate) struct Parts {
    pub(crate) platform: Platform,
    /// Whose queue it takes its tasks from.
    pub(crate) worker: WorkerName,
    pub(crate) queue_names: QueueNames,
    pub(crate) settings: WorkerSettings,
    /// When the sweeper sends the first copy of a pack, by its age.
    pub(crate) copied_after: Duration,
    pub(crate) fetch: FetchSettings,
    /// What is believed of images that lie in S3.
    pub(crate) objects: ObjectSettings,
    /// At least one.
    pub(crate) models: Vec<LoadedModel>,
    /// What goes into the worker's heartbeat.
    pub(crate) throughput: Arc<ThroughputMeter>,
    pub(crate) executor: Arc<dyn Executor>,
}

/// The pipeline of a worker: poll, fetch, decode, batch, infer, report.
pub(crate) struct Pipeline {
    tasks: TaskRunner,
    requests: Arc<dyn Requests>,
    clock: Arc<dyn Clock>,
    throughput: Arc<ThroughputMeter>,
    copied_after: Duration,
}

impl Pipeline {
    /// Starts the stages of a pipeline, all within the current runtime.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let Parts { platform, worker, settings, throughput, executor, .. } = parts;
        let watchdog = Watchdog::default();
        watchdog.arm(&executor)?;
        let retry = RetryPolicy {
            clock: Arc::clone(&platform.clock),
            base: settings.retry_base,
            cap: settings.retry_cap,
            fetch_for: parts.fetch.retry_for,
        };
        let limits = PrepareLimits {
            fetch_concurrency: settings.fetch_concurrency.max(1),
            decode_threads: thread_count(settings.decode_threads),
        };
        let max_isolated = (limits.fetch_concurrency / ISOLATED_PART).max(1);
        let images = Arc::clone(&platform.images);
        let preparer = Preparer::start(images, &limits, watchdog.clone(), executor.as_ref())?;
        let cache = PredictionCache::new(&platform, parts.objects);
        let images = ImageRunner::new(cache, preparer, Arc::clone(&platform.clock));

        let max_attempts = settings.attempts.map(|n| u32::try_from(n.get()).unwrap_or(u32::MAX));
        let infer = InferShared { executor, watchdog, max_attempts };
        let models = infer.start(parts.models)?;

        let (queue, meter) = (&platform.queue, Arc::clone(&throughput));
        let reporter = Reporter::start(queue, parts.queue_names, &worker, retry.clone(), meter);
        let worker = Worker { name: worker, models, max_isolated };
        Ok(Self {
            tasks: TaskRunner::new(&platform, worker, images, reporter, retry),
            requests: platform.requests,
            clock: platform.clock,
            throughput,
            copied_after: parts.copied_after,
        })
    }

    /// `message` with only the tasks that have no outcome yet; `None` where all have, or where a later copy of
    /// it was sent. What cannot have been copied yet is not looked up: that costs a read. Outcomes of tasks of
    /// upload events are not stored; where one has ended, its prediction is cached.
    async fn still_open(
        &self,
        mut message: TasksMessage,
        is_redelivered: bool,
        queued_ms: f64,
    ) -> PortResult<Option<TasksMessage>> {
        let is_old = queued_ms >= self.copied_after.as_secs_f64() * 1_000.0;
        let Some(key) = message.pack_key().filter(|_| is_redelivered || is_old || message.copy > 0)
        else {
            return Ok(Some(message));
        };
        let record = self.requests.pack(key).await?;
        let task_count = message.tasks.len();
        message.tasks.retain(|task| !record.outcomes.contains_key(&task.n));
        if record.resent.is_some_and(|resend| resend.copy > message.copy) {
            message.tasks.clear();
        }
        metrics::dropped(task_count - message.tasks.len());
        Ok((!message.tasks.is_empty()).then_some(message))
    }
}

#[async_trait]
impl Handler for Pipeline {
    type Message = TasksMessage;

    fn decode(&self, body: &str) -> Result<TasksMessage, Unreadable> {
        Ok(TasksMessage::decode(body)?)
    }

    fn weigh(&self, message: &TasksMessage) -> usize {
        message.tasks.len()
    }

    async fn handle(&self, delivery: Delivery<TasksMessage>, lease: Lease) -> PortResult<Handled> {
        if lease.stopping() {
            return Ok(Handled::Release);
        }
        let Delivery { body: message, receive_count, sent_at, .. } = delivery;
        let span = tracing::info_span!(
            "delivery", source = %message.source, message.pack, delivery.receive_count = receive_count
        );
        let _in_flight = metrics::TasksInFlight::new(message.tasks.len());
        let _busy = self.throughput.begin(&message);
        let waited = self.clock.now().duration_since(sent_at);
        let queued_ms = (waited.as_secs_f64() * 1_000.0).max(0.0);
        let is_redelivered = receive_count > 1;
        let work_lease = lease.clone();
        let work = async {
            let Some(message) = self.still_open(message, is_redelivered, queued_ms).await? else {
                return Ok(Handled::Ack);
            };
            let delivery = PackDelivery { message, lease: work_lease, queued_ms };
            match is_redelivered {
                false => self.tasks.run_first(&delivery).await,
                true => self.tasks.run_isolated(&delivery).await,
            }
        };
        tokio::select! {
            biased;
            // Another has the message by now, and what this one did is dropped.
            () = lease.lost() => Ok(Handled::Release),
            handled = work.instrument(span) => handled,
        }
    }
}

/// As many threads as are set, else one per core.
pub(crate) fn thread_count(set: Option<NonZeroUsize>) -> usize {
    set.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}
