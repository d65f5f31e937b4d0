//! Tasks of models that this worker does not serve: they have moved, or come too early.

use flota_core::{Code, Lane, PortResult, QueueName, TaskMessage, WorkerName, ports::NewMessage};

use super::{
    end::End,
    handler::Pipeline,
    in_hand::Failure,
    task::{Begun, Received},
};

/// How often such a task is tried while its worker is said to be this one: as long as it takes to
/// replace every process of a worker by those that serve one model more.
const TRIES: u32 = 10;

impl Pipeline {
    /// Sends `task` on to the worker that serves its model now. Nobody's model is a failure.
    pub(crate) async fn end_elsewhere(&self, task: &TaskMessage, received: &Received) -> End {
        let begun = Begun::new(task, received, task.tries + 1, TRIES);
        let model = &task.model;
        let failure = |message| Failure::new(Code::ModelNotServed, message);
        match self.platform.models.get(model, self.platform.clock.now()).await {
            Ok(Some(known)) if known.registration.worker != self.worker => {
                End::Elsewhere(task.clone(), known.registration.worker)
            }
            Ok(Some(_)) => {
                let message = format!("this process of the worker does not serve `{model}`");
                self.try_again(&begun, failure(message))
            }
            Ok(None) => {
                let message = format!("this worker does not serve the model `{model}`");
                self.end_failed(&begun, failure(message))
            }
            Err(error) => {
                tracing::warn!(%model, %error, "who serves a model could not be looked up");
                let message = format!("nobody could say which worker serves `{model}`");
                self.try_again(&begun, failure(message))
            }
        }
    }

    /// Puts a message on the queue of another worker.
    pub(crate) async fn send_on(
        &self,
        worker: &WorkerName,
        lane: Lane,
        message: NewMessage,
    ) -> PortResult<()> {
        let queue = QueueName::tasks(&self.prefix, worker, lane);
        self.platform.queue.send(&queue, &[message]).await?.into_iter().collect()
    }
}
