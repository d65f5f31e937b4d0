//! Runs the batches of models, on a thread for each session.

use std::{collections::BTreeMap, io, panic::AssertUnwindSafe, sync::Arc};

use ::metrics::Histogram;
use flota_core::{BatchSpec, ImageFacts, ModelName, Output};
use flota_engine::{InferError, Model, NamedTensors, Session};
use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use tokio::{
    sync::{Mutex, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    attempt::Failure,
    batch::{Batch, Inferred, Item, ServedModel, batch_all},
    permit::Permit,
    prepare::max_time,
};
use crate::{
    executor::Executor,
    metrics,
    stages::Stage,
    watchdog::{EXIT_SOFTWARE, Watchdog},
};

/// Batches of a model that are ready while each of its sessions has one: so none waits for the next.
const READY_BATCH_COUNT: usize = 1;

/// A model that is ready to run.
pub(crate) struct LoadedModel {
    pub(crate) model: Arc<Model>,
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    /// Of each session.
    pub(crate) threads: usize,
    /// Those that run at the same time.
    pub(crate) sessions: Vec<Box<dyn BatchSession>>,
}

/// Runs a network, one batch after the other. A fake one may take its time on a virtual clock.
pub(crate) trait BatchSession: Send {
    /// See [`Session::run`].
    fn run<'s>(
        &'s mut self,
        batch: &'s [NamedTensors],
    ) -> BoxFuture<'s, Result<Vec<NamedTensors>, InferError>>;
}

impl BatchSession for Box<dyn Session> {
    /// It blocks the thread of the session, which has nothing else to do.
    fn run<'s>(
        &'s mut self,
        batch: &'s [NamedTensors],
    ) -> BoxFuture<'s, Result<Vec<NamedTensors>, InferError>> {
        future::ready(Session::run(self.as_mut(), batch)).boxed()
    }
}

/// What all models of a worker share.
pub(crate) struct InferShared {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) watchdog: Watchdog,
    /// How often a task is begun at most, unless the manifest says.
    pub(crate) max_attempts: Option<u32>,
}

impl InferShared {
    /// Starts a batcher for each of `models`, and a thread for each session. They share the cores: no more
    /// run at once than the model with the most threads may.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(
        self,
        models: Vec<LoadedModel>,
    ) -> io::Result<BTreeMap<ModelName, Arc<ServedModel>>> {
        let core_counts = models.iter().map(|model| model.sessions.len() * model.threads);
        let core_count = core_counts.max().unwrap_or(1);
        let cores = Arc::new(Semaphore::new(core_count));
        let stage = Stage::start("infer", core_count);
        let mut served = BTreeMap::new();
        for LoadedModel { model, batch_size, threads, sessions } in models {
            let manifest = model.manifest();
            let name = manifest.name.clone();
            let max_attempts = self.max_attempts.unwrap_or(manifest.attempts);
            let spec = BatchSpec { max_size: batch_size, ..manifest.batch.clone() };
            let (items, waiting) = mpsc::channel(spec.max_size.max(1) as usize);
            let (ready, batches) = mpsc::channel(READY_BATCH_COUNT);
            tokio::spawn(batch_all(spec, waiting, ready));
            let inference = Inference {
                model: Arc::clone(&model),
                threads: u32::try_from(threads).expect("no machine has so many cores"),
                cores: Arc::clone(&cores),
                batch_sizes: metrics::batch_size(&name),
                watchdog: self.watchdog.clone(),
                stage: Arc::clone(&stage),
            };
            inference.start(sessions, batches, &self.executor)?;
            served.insert(name, Arc::new(ServedModel { model, max_attempts, items }));
        }
        Ok(served)
    }
}

/// What every inference thread of a model needs.
#[derive(Clone)]
struct Inference {
    model: Arc<Model>,
    /// That each session runs in.
    threads: u32,
    /// Those that all models share.
    cores: Arc<Semaphore>,
    batch_sizes: Histogram,
    watchdog: Watchdog,
    stage: Arc<Stage>,
}

type Batches = Arc<Mutex<mpsc::Receiver<Batch>>>;

impl Inference {
    /// Starts a thread for each of `sessions`; they run batches until nobody sends any more.
    fn start(
        self,
        sessions: Vec<Box<dyn BatchSession>>,
        batches: mpsc::Receiver<Batch>,
        executor: &Arc<dyn Executor>,
    ) -> io::Result<()> {
        let batches: Batches = Arc::new(Mutex::new(batches));
        for (index, session) in sessions.into_iter().enumerate() {
            let (inference, batches) = (self.clone(), Arc::clone(&batches));
            let process = Arc::clone(executor);
            let work = async move {
                let run = AssertUnwindSafe(inference.run_all(session, batches));
                if run.catch_unwind().await.is_err() {
                    // Without its thread every image would fail, one after the other.
                    tracing::error!("an inference thread panicked, the worker exits");
                    process.exit(EXIT_SOFTWARE);
                }
            };
            executor.spawn(format!("infer-{index}"), work.boxed())?;
        }
        Ok(())
    }

    async fn run_all(self, mut session: Box<dyn BatchSession>, batches: Batches) {
        loop {
            let batch = batches.lock().await.recv().await;
            let Some(batch) = batch else { return };
            let cores = self.cores.acquire_many(self.threads).await;
            let _cores = cores.expect("it is never closed");
            self.run_batch(session.as_mut(), batch).await;
        }
    }

    async fn run_batch(&self, session: &mut dyn BatchSession, batch: Batch) {
        let (model, batch_size) = (self.model.as_ref(), batch.len());
        let first = batch.first().expect("a batch is never empty").sha256;
        let watched = self.watchdog.watch("infer", first, max_time(model));
        let _held = (watched, self.stage.enter_many(self.threads));
        let (inputs, waiting) = split(batch);
        let began = Instant::now();
        let answers = run(model, session, &inputs, &waiting).await;
        let took = began.elapsed();
        metrics::stage("infer", took);
        self.batch_sizes.record(batch_size as f64);
        for (Waiting { image, reply, .. }, result) in waiting.into_iter().zip(answers) {
            let _ = reply.send(Inferred { result, image, took, batch_size });
        }
    }
}

type Answer = Result<Output, Failure>;

/// Runs a batch, or where that fails its images one by one, so that only the culprit fails.
async fn run(
    model: &Model,
    session: &mut dyn BatchSession,
    inputs: &[NamedTensors],
    waiting: &[Waiting],
) -> Vec<Answer> {
    let answer = |outputs: &NamedTensors, waiting: &Waiting| {
        model.postprocess(outputs, &waiting.image).map_err(|error| failure(&error))
    };
    match session.run(inputs).await {
        Ok(answers) => {
            assert_eq!(answers.len(), inputs.len(), "a session answers for each image");
            answers.iter().zip(waiting).map(|(outputs, waiting)| answer(outputs, waiting)).collect()
        }
        Err(error) if inputs.len() == 1 => vec![Err(failure(&error))],
        Err(_) => {
            let mut answers = Vec::with_capacity(inputs.len());
            for (inputs, waiting) in inputs.chunks(1).zip(waiting) {
                answers.push(match session.run(inputs).await {
                    Ok(outputs) => answer(outputs.first().expect("one for each image"), waiting),
                    Err(error) => Err(failure(&error)),
                });
            }
            answers
        }
    }
}

fn failure(error: &InferError) -> Failure {
    Failure::logged(error.code(), error)
}

/// An image that is being inferred.
struct Waiting {
    image: ImageFacts,
    reply: oneshot::Sender<Inferred>,
    _permit: Permit,
}

fn split(batch: Batch) -> (Vec<NamedTensors>, Vec<Waiting>) {
    let split = |Item { inputs, image, permit, reply, .. }| {
        (inputs, Waiting { image, reply, _permit: permit })
    };
    batch.into_iter().map(split).unzip()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::Duration,
    };

    use flota_core::Sha256;
    use flota_engine::Tensor;

    use super::*;
    use crate::{
        autotune::tests::model,
        executor::OsExecutor,
        pipeline::{batch::tests::facts, permit::Permits},
    };

    const CORES: u32 = 2;

    #[derive(Default)]
    struct Cores {
        running: AtomicU32,
        most: AtomicU32,
    }

    struct Counting(Arc<Cores>, u32);

    impl Session for Counting {
        fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
            let Self(cores, threads) = self;
            let running = cores.running.fetch_add(*threads, Ordering::SeqCst) + *threads;
            cores.most.fetch_max(running, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            cores.running.fetch_sub(*threads, Ordering::SeqCst);
            let means = NamedTensors::one("means".into(), Tensor::row(vec![0.0; 3]));
            Ok(vec![means; batch.len()])
        }
    }

    #[tokio::test]
    async fn models_with_sessions_of_one_thread_and_of_more_share_the_cores() {
        let (counted, permits) = (Arc::new(Cores::default()), Permits::default());
        let executor: Arc<dyn Executor> = Arc::new(OsExecutor);
        let cores = Arc::new(Semaphore::new(CORES as usize));
        let (watchdog, stage) = (Watchdog::default(), Stage::start("infer", CORES as usize));
        let (mut answers, mut starts) = (Vec::new(), Vec::new());
        for threads in [1, CORES] {
            let session = || -> Box<dyn BatchSession> {
                let session: Box<dyn Session> = Box::new(Counting(Arc::clone(&counted), threads));
                Box::new(session)
            };
            let sessions = (0..CORES / threads).map(|_| session()).collect();
            let (ready, batches) = mpsc::channel(20);
            let inference = Inference {
                model: Arc::new(model(1)),
                threads,
                cores: Arc::clone(&cores),
                batch_sizes: Histogram::noop(),
                watchdog: watchdog.clone(),
                stage: Arc::clone(&stage),
            };
            for _ in 0..20 {
                let (reply, answer) = oneshot::channel();
                let (sha256, permit) = (Sha256::of(b""), permits.shared().await);
                let (inputs, image) = (NamedTensors::default(), facts());
                ready.send(vec![Item { sha256, inputs, image, permit, reply }]).await.unwrap();
                answers.push(answer);
            }
            starts.push((inference, sessions, batches));
        }
        for (inference, sessions, batches) in starts {
            inference.start(sessions, batches, &executor).unwrap();
        }
        for answer in answers {
            assert!(answer.await.unwrap().result.is_ok());
        }
        assert_eq!(counted.most.load(Ordering::SeqCst), CORES);
    }
}
