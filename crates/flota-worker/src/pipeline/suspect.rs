//! Tasks of a message that was received before: one of them may have ended its process.

use flota_core::{PortResult, TaskMessage, consume::Handled};

use super::{
    end::End,
    handler::Pipeline,
    image::Look,
    task::{Begun, Received},
};

impl Pipeline {
    /// Runs the tasks of `received` that have no outcome yet, one by one, those that were begun
    /// least first. Each is counted durably before it runs alone in the process, and reported
    /// before the next begins, so that whatever ends the process is found out and its mates are
    /// not.
    pub(crate) async fn run_suspects(&self, received: &Received) -> PortResult<Handled> {
        let message = &received.message;
        let mut suspects = Vec::new();
        for task in &message.tasks {
            let id = message.origin.task(task.n);
            let counted = self.platform.requests.attempts(id, message.round).await?;
            suspects.push((counted, task));
        }
        suspects.sort_by_key(|(counted, _)| *counted);
        for (counted, task) in suspects {
            if self.run_suspect(task, received, counted).await? == Handled::GiveBack {
                return Ok(Handled::GiveBack);
            }
        }
        Ok(Handled::Settle)
    }

    async fn run_suspect(
        &self,
        task: &TaskMessage,
        received: &Received,
        counted: u32,
    ) -> PortResult<Handled> {
        let Some(served) = self.served.get(&task.model) else {
            let end = self.end_elsewhere(task, received).await?;
            return self.report_one(received, end).await;
        };
        let mut begun = Begun::new(task, received, task.tries + counted, served.attempts);
        if counted >= served.attempts {
            let end = self.end_crashed(&begun);
            return self.report_one(received, end).await;
        }
        begun.attempts += 1;
        // A fetch runs nobody's code but ours, and a slow server is no poison: it is not counted.
        let mut looks = [Look::new(begun, served)];
        let image = self.obtain(&mut looks).await;
        let [mut look] = looks;
        let Some(image) = image else {
            let end = self.end_look(look).await;
            return self.report_one(received, end).await;
        };
        // Held until the report is durable: who crashes next must not make this one run again.
        let pass = self.gate.alone().await;
        if received.lease.stopping() {
            return Ok(Handled::GiveBack);
        }
        let id = received.message.origin.task(task.n);
        let counted = self.platform.requests.count_attempt(id, received.message.round).await?;
        look.begun.attempts = task.tries + counted;
        tracing::info!(task.id = %id, attempts = counted, "a suspect task runs alone");
        self.look_alone(&mut look, image, pass.clone()).await;
        let end = self.end_look(look).await;
        let handled = self.report_one(received, end).await;
        drop(pass);
        handled
    }

    async fn report_one(&self, received: &Received, end: End) -> PortResult<Handled> {
        if matches!(end, End::NotBegun(_)) {
            return Ok(Handled::GiveBack);
        }
        self.report_ends(received, vec![end]).await?;
        Ok(Handled::Settle)
    }
}
