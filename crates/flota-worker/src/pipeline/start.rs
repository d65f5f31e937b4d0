//! Puts the stages together.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use flota_core::{BatchSpec, Lane, Manifest, ModelName, QueueName, WorkerName};
use flota_engine::{Model, Session};
use flota_platform::{
    Platform,
    settings::{FetchSettings, ObjectSettings, WorkerSettings},
};
use tokio::sync::{Semaphore, mpsc};

use super::{
    batch::batch_all,
    compute::{Compute, FetchStage, Places},
    gate::Gate,
    handler::{Pipeline, Retry},
    in_hand::InHand,
    infer::{BeforeInfer, Inference},
    known::Known,
    outbox::Outbox,
    served::Served,
    stages::Stage,
    threads::Threads,
    watchdog::Watchdog,
};
use crate::{metrics, throughput::ThroughputMeter};

/// Batches of a model that are ready while each of its sessions has one: so none waits for the next.
const READY_BATCH_COUNT: usize = 1;

/// The part of the places for fetched images that a group of suspects may take.
const GROUP_PART: usize = 2;

/// What a pipeline is made of.
pub(crate) struct Parts {
    pub(crate) platform: Platform,
    /// Whose queue it takes its tasks from.
    pub(crate) worker: WorkerName,
    /// The beginning of the queues' names.
    pub(crate) prefix: String,
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
    pub(crate) before_infer: Option<BeforeInfer>,
}

/// A model that is ready to run.
pub(crate) struct LoadedModel {
    pub(crate) model: Arc<Model>,
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    /// Of each session.
    pub(crate) threads: usize,
    /// Those that run at the same time.
    pub(crate) sessions: Vec<Box<dyn Session>>,
}

impl Pipeline {
    /// Starts the stages of a pipeline, all within the current runtime.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let Parts {
            platform,
            worker,
            prefix,
            settings,
            copied_after,
            fetch,
            objects,
            models,
            throughput,
            before_infer,
        } = parts;
        let watchdog = Watchdog::default();
        watchdog.arm()?;
        let served = start_models(models, &settings, &watchdog, before_infer)?;
        let decode_threads = thread_count(settings.decode_threads);
        let fetch_concurrency = settings.fetch_concurrency.max(1);
        let compute = Compute {
            images: Arc::clone(&platform.images),
            places: Places {
                web: FetchStage::start("fetch", fetch_concurrency),
                stored: FetchStage::start("fetch_stored", fetch_concurrency),
            },
            threads: Threads::start("decode", decode_threads)?,
            watchdog,
            decoding: Stage::start("decode", decode_threads),
        };
        let queue = QueueName::tasks(&prefix, &worker, Lane::Normal);
        let outbox = |name, stage| {
            let (queue, clock) = (Arc::clone(&platform.queue), Arc::clone(&platform.clock));
            Outbox::start(queue, name, clock, stage)
        };
        Ok(Self {
            retry: Retry {
                base: settings.retry_base,
                cap: settings.retry_cap,
                fetch_for: fetch.retry_for,
            },
            outcomes: outbox(QueueName::outcomes(&prefix), Some(Stage::start("report", 1))),
            tasks: outbox(queue.clone(), None),
            copied_after,
            throughput,
            worker,
            prefix,
            served,
            queue,
            known: Known::start(&platform, objects),
            in_hand: InHand::default(),
            compute: Arc::new(compute),
            gate: Gate::default(),
            grouping: tokio::sync::Mutex::default(),
            max_group: (fetch_concurrency / GROUP_PART).max(1),
            elsewhere: Mutex::default(),
            platform,
        })
    }
}

/// Starts a batcher for each of `models`, and a thread for each session. They share the cores: no more
/// run at once than the one with the most threads may.
fn start_models(
    models: Vec<LoadedModel>,
    settings: &WorkerSettings,
    watchdog: &Watchdog,
    before_infer: Option<BeforeInfer>,
) -> io::Result<BTreeMap<ModelName, Arc<Served>>> {
    let core_counts = models.iter().map(|model| model.sessions.len() * model.threads);
    let core_count = core_counts.max().unwrap_or(1);
    let cores = Arc::new(Semaphore::new(core_count));
    let stage = Stage::start("infer", core_count);
    let mut served = BTreeMap::new();
    for LoadedModel { model, batch_size, threads, sessions } in models {
        let manifest = model.manifest();
        let batch = BatchSpec { max_size: batch_size, ..manifest.batch.clone() };
        let (items, waiting) = mpsc::channel(batch.max_size.max(1) as usize);
        let (ready, batches) = mpsc::channel(READY_BATCH_COUNT);
        tokio::spawn(batch_all(batch, waiting, ready));
        let inference = Inference {
            model: Arc::clone(&model),
            threads: u32::try_from(threads).expect("no machine has so many cores"),
            cores: Arc::clone(&cores),
            batch_sizes: metrics::batch_size(&manifest.name),
            watchdog: watchdog.clone(),
            stage: Arc::clone(&stage),
            before_infer,
        };
        inference.start(sessions, batches)?;
        let attempts = attempts(settings, manifest);
        let name = manifest.name.clone();
        served.insert(name, Arc::new(Served { model, attempts, items }));
    }
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
