//! Puts the stages together.

use std::{io, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use flota_core::{BatchSpec, Lane, Manifest, QueueName, WorkerName};
use flota_engine::{Model, Session};
use flota_platform::{
    Platform,
    settings::{ObjectSettings, WorkerSettings},
};
use tokio::sync::{Semaphore, mpsc};

use super::{
    batch::batch_all,
    compute::Compute,
    gate::Gate,
    handler::{Pipeline, Retry, Served},
    in_hand::InHand,
    infer::{BeforeInfer, Inference},
    known::Known,
    outbox::Outbox,
    threads::Threads,
    watchdog::Watchdog,
};

/// Batches that are ready while every inference thread runs one: so none waits for the next, and
/// what comes meanwhile still finds a place in it.
const READY_BATCH_COUNT: usize = 1;

/// What a pipeline is made of.
pub(crate) struct Parts {
    pub(crate) platform: Platform,
    /// The beginning of the queues' names.
    pub(crate) prefix: String,
    pub(crate) settings: WorkerSettings,
    /// What is believed of images that lie in S3.
    pub(crate) objects: ObjectSettings,
    pub(crate) model: Arc<Model>,
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    /// One for each inference thread.
    pub(crate) sessions: Vec<Box<dyn Session>>,
    pub(crate) before_infer: Option<BeforeInfer>,
}

impl Pipeline {
    /// Starts the stages of a pipeline, all within the current runtime.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let Parts {
            platform,
            prefix,
            settings,
            objects,
            model,
            batch_size,
            sessions,
            before_infer,
        } = parts;
        let manifest = model.manifest().clone();
        let watchdog = Watchdog::new(Duration::from_secs(manifest.limits.max_seconds.into()));
        watchdog.arm()?;

        let batch = BatchSpec { max_size: batch_size, ..manifest.batch.clone() };
        let (items, waiting) = mpsc::channel(batch.max_size.max(1) as usize);
        let (ready, batches) = mpsc::channel(READY_BATCH_COUNT);
        tokio::spawn(batch_all(batch, waiting, ready));
        let (shared, watch) = (Arc::clone(&model), watchdog.clone());
        Inference { model: shared, watchdog: watch, before_infer }.start(sessions, batches)?;

        let compute = Compute {
            images: Arc::clone(&platform.images),
            clock: Arc::clone(&platform.clock),
            model,
            limits: manifest.limits.clone(),
            fetches: Arc::new(Semaphore::new(settings.fetch_concurrency.max(1))),
            threads: Threads::start("decode", thread_count(settings.decode_threads))?,
            watchdog,
            items,
        };
        let queue = tasks_queue(&prefix, &manifest);
        let outbox =
            |name| Outbox::start(Arc::clone(&platform.queue), name, Arc::clone(&platform.clock));
        Ok(Self {
            served: Served {
                attempts: attempts(&settings, &manifest),
                model: manifest.name,
                version: manifest.version,
            },
            retry: Retry { base: settings.retry_base, cap: settings.retry_cap },
            outcomes: outbox(QueueName::outcomes(&prefix)),
            tasks: outbox(queue.clone()),
            queue,
            known: Known::start(&platform, objects),
            in_hand: InHand::default(),
            compute: Arc::new(compute),
            gate: Gate::default(),
            platform,
        })
    }
}

/// The queue from which the worker of `manifest` takes its tasks.
pub(crate) fn tasks_queue(prefix: &str, manifest: &Manifest) -> QueueName {
    QueueName::tasks(prefix, &WorkerName::from(&manifest.name), Lane::Normal)
}

/// As many threads as are set, else one per core.
pub(crate) fn thread_count(set: Option<NonZeroUsize>) -> usize {
    set.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

fn attempts(settings: &WorkerSettings, manifest: &Manifest) -> u32 {
    let set = settings.attempts.map(|set| u32::try_from(set.get()).unwrap_or(u32::MAX));
    set.unwrap_or(manifest.attempts)
}
