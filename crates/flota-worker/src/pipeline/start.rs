//! Puts the stages together.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
};

use flota_core::{BatchSpec, Lane, Manifest, ModelName, QueueName, WorkerName};
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
    handler::{Pipeline, Retry},
    in_hand::InHand,
    infer::{BeforeInfer, Inference, Sessions},
    known::Known,
    outbox::Outbox,
    served::Served,
    stages::Stage,
    threads::Threads,
    watchdog::Watchdog,
};

/// Batches that are ready while every inference thread runs one: so none waits for the next, and
/// what comes meanwhile still finds a place in it.
const READY_BATCH_COUNT: usize = 1;

/// What a pipeline is made of.
pub(crate) struct Parts {
    pub(crate) platform: Platform,
    /// Whose queue it takes its tasks from.
    pub(crate) worker: WorkerName,
    /// The beginning of the queues' names.
    pub(crate) prefix: String,
    pub(crate) settings: WorkerSettings,
    /// What is believed of images that lie in S3.
    pub(crate) objects: ObjectSettings,
    /// At least one.
    pub(crate) models: Vec<LoadedModel>,
    pub(crate) before_infer: Option<BeforeInfer>,
}

/// A model that is ready to run.
pub(crate) struct LoadedModel {
    pub(crate) model: Arc<Model>,
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    /// One for each inference thread.
    pub(crate) sessions: Vec<Box<dyn Session>>,
}

impl Pipeline {
    /// Starts the stages of a pipeline, all within the current runtime.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let Parts { platform, worker, prefix, settings, objects, models, before_infer } = parts;
        let watchdog = Watchdog::default();
        watchdog.arm()?;
        let served = start_models(models, &settings, &watchdog, before_infer)?;
        let decode_threads = thread_count(settings.decode_threads);
        let fetch_concurrency = settings.fetch_concurrency.max(1);
        let compute = Compute {
            images: Arc::clone(&platform.images),
            fetches: Arc::new(Semaphore::new(fetch_concurrency)),
            threads: Threads::start("decode", decode_threads)?,
            watchdog,
            fetching: Stage::start("fetch", fetch_concurrency),
            decoding: Stage::start("decode", decode_threads),
        };
        let queue = QueueName::tasks(&prefix, &worker, Lane::Normal);
        let outbox = |name, stage| {
            let (queue, clock) = (Arc::clone(&platform.queue), Arc::clone(&platform.clock));
            Outbox::start(queue, name, clock, stage)
        };
        Ok(Self {
            retry: Retry { base: settings.retry_base, cap: settings.retry_cap },
            outcomes: outbox(QueueName::outcomes(&prefix), Some(Stage::start("report", 1))),
            tasks: outbox(queue.clone(), None),
            worker,
            prefix,
            served,
            queue,
            known: Known::start(&platform, objects),
            in_hand: InHand::default(),
            compute: Arc::new(compute),
            gate: Gate::default(),
            elsewhere: Mutex::default(),
            platform,
        })
    }
}

/// Starts a batcher for each of `models` and the inference threads that they share.
fn start_models(
    models: Vec<LoadedModel>,
    settings: &WorkerSettings,
    watchdog: &Watchdog,
    before_infer: Option<BeforeInfer>,
) -> io::Result<BTreeMap<ModelName, Arc<Served>>> {
    let (ready, batches) = mpsc::channel(READY_BATCH_COUNT);
    let (mut served, mut threads, mut all) = (BTreeMap::new(), Vec::<Sessions>::new(), Vec::new());
    for (index, LoadedModel { model, batch_size, sessions }) in models.into_iter().enumerate() {
        let manifest = model.manifest();
        let batch = BatchSpec { max_size: batch_size, ..manifest.batch.clone() };
        let (items, waiting) = mpsc::channel(batch.max_size.max(1) as usize);
        tokio::spawn(batch_all(index, batch, waiting, ready.clone()));
        threads.resize_with(sessions.len(), Sessions::new);
        threads.iter_mut().zip(sessions).for_each(|(thread, session)| thread.push(session));
        let attempts = attempts(settings, manifest);
        let name = manifest.name.clone();
        all.push(Arc::clone(&model));
        served.insert(name, Arc::new(Served { model, attempts, items }));
    }
    let (models, watchdog) = (all.into(), watchdog.clone());
    let stage = Stage::start("infer", threads.len());
    let inference = Inference { models, watchdog, stage, before_infer };
    inference.start(threads, batches)?;
    Ok(served)
}

/// As many threads as are set, else one per core.
pub(crate) fn thread_count(set: Option<NonZeroUsize>) -> usize {
    set.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

fn attempts(settings: &WorkerSettings, manifest: &Manifest) -> u32 {
    let set = settings.attempts.map(|set| u32::try_from(set.get()).unwrap_or(u32::MAX));
    set.unwrap_or(manifest.attempts)
}
