//! Runs the model, on threads of its own with a session each.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use flota_core::{Output, Sha256};
use flota_engine::{InferError, Model, Session, Tensor};
use tokio::sync::{mpsc, oneshot};

use super::{
    batch::{Inferred, Item},
    gate::Pass,
    in_hand::Failure,
    watchdog::{EXIT_SOFTWARE, Watchdog},
};
use crate::metrics;

/// What is called with each image before it is inferred.
pub type BeforeInfer = fn(&Sha256);

/// What every inference thread needs.
#[derive(Clone)]
pub(crate) struct Inference {
    pub(crate) model: Arc<Model>,
    pub(crate) watchdog: Watchdog,
    pub(crate) before_infer: Option<BeforeInfer>,
}

type Batches = Arc<Mutex<mpsc::Receiver<Vec<Item>>>>;

impl Inference {
    /// Starts a thread for each of `sessions`; they run batches until nobody sends any more.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(
        self,
        sessions: Vec<Box<dyn Session>>,
        batches: mpsc::Receiver<Vec<Item>>,
    ) -> io::Result<()> {
        let batches: Batches = Arc::new(Mutex::new(batches));
        for (index, session) in sessions.into_iter().enumerate() {
            let (inference, batches) = (self.clone(), Arc::clone(&batches));
            let thread = thread::Builder::new().name(format!("infer-{index}"));
            thread.spawn(move || {
                let run = AssertUnwindSafe(|| inference.run_all(session, &batches));
                if catch_unwind(run).is_err() {
                    // Without its thread every image would fail, one after the other.
                    tracing::error!("an inference thread panicked, the worker exits");
                    process::exit(EXIT_SOFTWARE);
                }
            })?;
        }
        Ok(())
    }

    fn run_all(&self, mut session: Box<dyn Session>, batches: &Batches) {
        let next = || batches.lock().expect("receiving does not panic").blocking_recv();
        while let Some(batch) = next() {
            self.run_batch(session.as_mut(), batch);
        }
    }

    fn run_batch(&self, session: &mut dyn Session, batch: Vec<Item>) {
        let batch_size = batch.len();
        let first = batch.first().expect("a batch is never empty").sha256;
        let _watched = self.watchdog.watch("infer", first);
        let (tensors, waiting) = split(batch);
        if let Some(before_infer) = self.before_infer {
            waiting.iter().for_each(|waiting| before_infer(&waiting.sha256));
        }
        let began = Instant::now();
        let answers = self.run(session, &tensors);
        let took = began.elapsed();
        metrics::stage("infer", took);
        metrics::batch(batch_size);
        for (waiting, result) in waiting.into_iter().zip(answers) {
            let _ = waiting.reply.send(Inferred { result, took, batch_size });
        }
    }

    /// Runs a batch, or where that fails its images one by one, so that only the culprit fails.
    fn run(&self, session: &mut dyn Session, tensors: &[Tensor]) -> Vec<Answer> {
        match session.run(tensors) {
            Ok(answers) => {
                assert_eq!(answers.len(), tensors.len(), "a session answers for each tensor");
                answers.iter().map(|numbers| self.label(numbers)).collect()
            }
            Err(error) if tensors.len() == 1 => vec![Err(failure(&error))],
            Err(_) => tensors.chunks(1).flat_map(|one| self.run(session, one)).collect(),
        }
    }

    fn label(&self, numbers: &[f32]) -> Answer {
        self.model.label(numbers).map_err(|error| failure(&error))
    }
}

type Answer = Result<Output, Failure>;

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
