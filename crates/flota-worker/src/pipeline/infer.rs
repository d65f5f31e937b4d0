//! Runs the models, on threads of their own with a session for each model.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use flota_core::{Output, Sha256};
use flota_engine::{InferError, Model, Session, Tensor};
use tokio::sync::{mpsc, oneshot};

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

/// What every inference thread needs.
#[derive(Clone)]
pub(crate) struct Inference {
    /// Those that batches are of, by their number.
    pub(crate) models: Arc<[Arc<Model>]>,
    pub(crate) watchdog: Watchdog,
    pub(crate) stage: Arc<Stage>,
    pub(crate) before_infer: Option<BeforeInfer>,
}

/// The sessions of one thread, one for each model.
pub(crate) type Sessions = Vec<Box<dyn Session>>;

type Batches = Arc<Mutex<mpsc::Receiver<Batch>>>;

impl Inference {
    /// Starts a thread for each of `sessions`; they run batches until nobody sends any more.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(
        self,
        sessions: Vec<Sessions>,
        batches: mpsc::Receiver<Batch>,
    ) -> io::Result<()> {
        let batches: Batches = Arc::new(Mutex::new(batches));
        for (index, sessions) in sessions.into_iter().enumerate() {
            let (inference, batches) = (self.clone(), Arc::clone(&batches));
            let thread = thread::Builder::new().name(format!("infer-{index}"));
            thread.spawn(move || {
                let run = AssertUnwindSafe(|| inference.run_all(sessions, &batches));
                if catch_unwind(run).is_err() {
                    // Without its thread every image would fail, one after the other.
                    tracing::error!("an inference thread panicked, the worker exits");
                    process::exit(EXIT_SOFTWARE);
                }
            })?;
        }
        Ok(())
    }

    fn run_all(&self, mut sessions: Sessions, batches: &Batches) {
        let next = || batches.lock().expect("receiving does not panic").blocking_recv();
        while let Some(Batch { model, items }) = next() {
            self.run_batch(&self.models[model], sessions[model].as_mut(), items);
        }
    }

    fn run_batch(&self, model: &Model, session: &mut dyn Session, batch: Vec<Item>) {
        let batch_size = batch.len();
        let first = batch.first().expect("a batch is never empty").sha256;
        let _held = (self.watchdog.watch("infer", first, max_time(model)), self.stage.enter());
        let (tensors, waiting) = split(batch);
        if let Some(before_infer) = self.before_infer {
            waiting.iter().for_each(|waiting| before_infer(&waiting.sha256));
        }
        let began = Instant::now();
        let answers = run(model, session, &tensors);
        let took = began.elapsed();
        metrics::stage("infer", took);
        metrics::batch(batch_size);
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

fn split(batch: Vec<Item>) -> (Vec<Tensor>, Vec<Waiting>) {
    let split =
        |Item { sha256, tensor, pass, reply }| (tensor, Waiting { sha256, reply, _pass: pass });
    batch.into_iter().map(split).unzip()
}
