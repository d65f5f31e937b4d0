//! Tasks of models that this worker does not serve: they have moved, or come too early.

use std::time::Duration;

use flota_core::{Code, Fault, PortResult, QueueName, TaskMessage, ports::NewMessage};

use super::{
    end::End,
    handler::Pipeline,
    in_hand::Failure,
    outbox::Outbox,
    task::{Begun, Received},
};

/// For so long a task waits for a process of this worker that serves its model: longer than it takes
/// to replace all of them by such as do.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

impl Pipeline {
    /// Sends `task` on to the worker that serves its model now. Nobody's model is a failure.
    ///
    /// # Errors
    /// If that cannot be looked up.
    pub(crate) async fn end_elsewhere(
        &self,
        task: &TaskMessage,
        received: &Received,
    ) -> PortResult<End> {
        let model = &task.model;
        let known = self.platform.models.get(model, self.platform.clock.now()).await?;
        let begun = Begun::new(task, received, task.tries, task.tries);
        Ok(match known.map(|known| known.registration.worker) {
            Some(worker) if worker != self.worker => End::Elsewhere(task.clone(), worker),
            Some(_) => self.await_other_process(&begun),
            None => {
                let message = format!("this worker does not serve the model `{model}`");
                self.end_failed(&begun, Failure::new(Code::ModelNotServed, message))
            }
        })
    }

    /// Leaves a task to another process of this worker, one of a newer deployment. That is no attempt.
    fn await_other_process(&self, begun: &Begun<'_>) -> End {
        let (task, now) = (begun.task, self.platform.clock.now());
        let message = format!("no process of this worker serves the model `{}`", task.model);
        let waited = task.faults.iter().find(|fault| fault.code == Code::ModelNotServed);
        match waited.map(|fault| now.duration_since(fault.at)) {
            None => {
                let fault = Fault::new(now, Code::ModelNotServed, &message);
                End::Waits(TaskMessage { faults: fault.after(&task.faults), ..task.clone() })
            }
            Some(waited) if waited.unsigned_abs() < MAX_WAIT => End::Waits(task.clone()),
            Some(_) => self.try_again(begun, Failure::new(Code::ModelNotServed, message)),
        }
    }

    /// Puts a message on the queue of another worker.
    pub(crate) async fn send_on(&self, queue: QueueName, message: NewMessage) -> PortResult<()> {
        let outbox = {
            let mut outboxes = self.elsewhere.lock().expect("nothing panics under this lock");
            let start = || {
                let (queues, clock) = (&self.platform.queue, &self.platform.clock);
                Outbox::start(queues.clone(), queue.clone(), clock.clone(), None)
            };
            outboxes.entry(queue.clone()).or_insert_with(start).clone()
        };
        outbox.send(vec![message]).await
    }
}
