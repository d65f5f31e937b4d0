//! Runs a model, on a thread of its own for each session.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use ::metrics::Histogram;
use flota_core::{Output, Sha256};
use flota_engine::{InferError, Model, Session, Tensor};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
};

use super::{
    batch::{Batch, Inferred, Item},
    gate::Pass,
    in_hand::Failure,
    stages::Stage,
    watchdog::{EXIT_SOFTWARE, Watchdog},
};
use crate::metrics;

/// What is called with each image before it is inferred.
pub type BeforeInfer = fn(&Sha256);

/// What every inference thread of a model needs.
#[derive(Clone)]
pub(crate) struct Inference {
    pub(crate) model: Arc<Model>,
    /// That each session runs in.
    pub(crate) threads: u32,
    /// Those that all models share.
    pub(crate) cores: Arc<Semaphore>,
    pub(crate) batch_sizes: Histogram,
    pub(crate) watchdog: Watchdog,
    pub(crate) stage: Arc<Stage>,
    pub(crate) before_infer: Option<BeforeInfer>,
}

type Batches = Arc<Mutex<mpsc::Receiver<Batch>>>;

impl Inference {
    /// Starts a thread for each of `sessions`; they run batches until nobody sends any more.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(
        self,
        sessions: Vec<Box<dyn Session>>,
        batches: mpsc::Receiver<Batch>,
    ) -> io::Result<()> {
        let batches: Batches = Arc::new(Mutex::new(batches));
        for (index, session) in sessions.into_iter().enumerate() {
            let (inference, batches) = (self.clone(), Arc::clone(&batches));
            let runtime = Handle::current();
            let thread = thread::Builder::new().name(format!("infer-{index}"));
            thread.spawn(move || {
                let run = AssertUnwindSafe(|| inference.run_all(session, &batches, &runtime));
                if catch_unwind(run).is_err() {
                    // Without its thread every image would fail, one after the other.
                    tracing::error!("an inference thread panicked, the worker exits");
                    process::exit(EXIT_SOFTWARE);
                }
            })?;
        }
        Ok(())
    }

    fn run_all(&self, mut session: Box<dyn Session>, batches: &Batches, runtime: &Handle) {
        let next = || batches.lock().expect("receiving does not panic").blocking_recv();
        while let Some(batch) = next() {
            let cores = runtime.block_on(self.cores.acquire_many(self.threads));
            let _cores = cores.expect("it is never closed");
            self.run_batch(session.as_mut(), batch);
        }
    }

    fn run_batch(&self, session: &mut dyn Session, batch: Batch) {
        let (model, batch_size) = (self.model.as_ref(), batch.len());
        let first = batch.first().expect("a batch is never empty").sha256;
        let watched = self.watchdog.watch("infer", first, max_time(model));
        let _held = (watched, self.stage.enter_many(self.threads));
        let (tensors, waiting) = split(batch);
        if let Some(before_infer) = self.before_infer {
            waiting.iter().for_each(|waiting| before_infer(&waiting.sha256));
        }
        let began = Instant::now();
        let answers = run(model, session, &tensors);
        let took = began.elapsed();
        metrics::stage("infer", took);
        self.batch_sizes.record(batch_size as f64);
        for (waiting, result) in waiting.into_iter().zip(answers) {
            let _ = waiting.reply.send(Inferred { result, took, batch_size });
        }
    }
}

/// How long `model` may take for a decode or for a batch.
pub(crate) fn max_time(model: &Model) -> Duration {
    Duration::from_secs(model.manifest().limits.max_seconds.into())
}

type Answer = Result<Output, Failure>;

/// Runs a batch, or where that fails its images one by one, so that only the culprit fails.
fn run(model: &Model, session: &mut dyn Session, tensors: &[Tensor]) -> Vec<Answer> {
    match session.run(tensors) {
        Ok(answers) => {
            assert_eq!(answers.len(), tensors.len(), "a session answers for each tensor");
            let label = |numbers: &Vec<f32>| model.label(numbers).map_err(|error| failure(&error));
            answers.iter().map(label).collect()
        }
        Err(error) if tensors.len() == 1 => vec![Err(failure(&error))],
        Err(_) => tensors.chunks(1).flat_map(|one| run(model, session, one)).collect(),
    }
}

fn failure(error: &InferError) -> Failure {
    Failure::logged(error.code(), error)
}

struct Waiting {
    sha256: Sha256,
    reply: oneshot::Sender<Inferred>,
    _pass: Pass,
}

fn split(batch: Batch) -> (Vec<Tensor>, Vec<Waiting>) {
    let split =
        |Item { sha256, tensor, pass, reply }| (tensor, Waiting { sha256, reply, _pass: pass });
    batch.into_iter().map(split).unzip()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use flota_engine::TensorData;

    use super::*;
    use crate::{calibration::tests::model, pipeline::gate::Gate};

    const CORES: u32 = 2;

    #[derive(Default)]
    struct Cores {
        running: AtomicU32,
        most: AtomicU32,
    }

    struct Counting(Arc<Cores>, u32);

    impl Session for Counting {
        fn run(&mut self, batch: &[Tensor]) -> Result<Vec<Vec<f32>>, InferError> {
            let Self(cores, threads) = self;
            let running = cores.running.fetch_add(*threads, Ordering::SeqCst) + *threads;
            cores.most.fetch_max(running, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            cores.running.fetch_sub(*threads, Ordering::SeqCst);
            Ok(vec![vec![0.0; 3]; batch.len()])
        }
    }

    #[tokio::test]
    async fn models_with_sessions_of_one_thread_and_of_more_share_the_cores() {
        let (counted, gate) = (Arc::new(Cores::default()), Gate::default());
        let cores = Arc::new(Semaphore::new(CORES as usize));
        let (watchdog, stage) = (Watchdog::default(), Stage::start("infer", CORES as usize));
        let (mut answers, mut starts) = (Vec::new(), Vec::new());
        for threads in [1, CORES] {
            let session = || Box::new(Counting(Arc::clone(&counted), threads)) as Box<dyn Session>;
            let sessions = (0..CORES / threads).map(|_| session()).collect();
            let (ready, batches) = mpsc::channel(20);
            let inference = Inference {
                model: Arc::new(model(1)),
                threads,
                cores: Arc::clone(&cores),
                batch_sizes: Histogram::noop(),
                watchdog: watchdog.clone(),
                stage: Arc::clone(&stage),
                before_infer: None,
            };
            for _ in 0..20 {
                let (reply, answer) = oneshot::channel();
                let tensor = Tensor { shape: [1; 4], data: TensorData::U8(vec![0]) };
                let pass = gate.together().await;
                ready
                    .send(vec![Item { sha256: Sha256::of(b""), tensor, pass, reply }])
                    .await
                    .unwrap();
                answers.push(answer);
            }
            starts.push((inference, sessions, batches));
        }
        for (inference, sessions, batches) in starts {
            inference.start(sessions, batches).unwrap();
        }
        for answer in answers {
            assert!(answer.await.unwrap().result.is_ok());
        }
        assert_eq!(counted.most.load(Ordering::SeqCst), CORES);
    }
}
