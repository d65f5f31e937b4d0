//! Tasks of a message that was received before: one of them may have ended its process.

use flota_core::{PortResult, TaskMessage, consume::Handled};
use futures::future::join_all;

use super::{
    end::End,
    handler::Pipeline,
    image::{Look, open},
    task::{Begun, Received},
};

impl Pipeline {
    /// Runs the tasks of `received`, those that were begun least first. Each is counted durably before
    /// it runs, and nothing runs beside the suspects, so that whatever ends the process is isolated and
    /// its mates are not. Those that no earlier delivery counted run in two halves, each reported
    /// before the next begins: most processes are ended by something else, or by one task. Those of a
    /// half that ended its process run one by one.
    pub(crate) async fn run_suspects(&self, received: &Received) -> PortResult<Handled> {
        let message = &received.message;
        let mut suspects = Vec::new();
        for task in &message.tasks {
            let id = message.origin.task(task.n);
            let counted = self.platform.requests.attempts(id, message.round).await?;
            suspects.push((counted, task));
        }
        suspects.sort_by_key(|(counted, _)| *counted);
        let (uncounted, counted): (Vec<_>, Vec<_>) =
            suspects.into_iter().partition(|(counted, task)| self.may_share(*counted, task));
        let uncounted: Vec<&TaskMessage> = uncounted.into_iter().map(|(_, task)| task).collect();
        let half = uncounted.len().div_ceil(2).clamp(1, self.max_group);
        for tasks in uncounted.chunks(half) {
            if self.run_group(tasks, received).await? == Handled::GiveBack {
                return Ok(Handled::GiveBack);
            }
        }
        for (counted, task) in counted {
            if self.run_suspect(task, received, counted).await? == Handled::GiveBack {
                return Ok(Handled::GiveBack);
            }
        }
        Ok(Handled::Settle)
    }

    /// Whether a task may run beside others although its message was received before: it was not
    /// counted yet, and once it was it may still be begun again, alone.
    fn may_share(&self, counted: u32, task: &TaskMessage) -> bool {
        counted == 0 && self.served.get(&task.model).is_some_and(|served| served.attempts > 1)
    }

    /// Runs `tasks` beside each other and nothing else.
    async fn run_group(&self, tasks: &[&TaskMessage], received: &Received) -> PortResult<Handled> {
        // Several places among the fetched images are held by one group alone, or two of them might
        // each wait for what the other holds.
        let _only = self.grouping.lock().await;
        let mut images = Vec::new();
        for tasks in tasks.chunk_by(|a, b| a.image == b.image) {
            let mut looks = Vec::new();
            for task in tasks {
                // Only tasks of models that are served may share.
                let Some(served) = self.served.get(&task.model) else { continue };
                let begun = Begun::new(task, received, task.tries + 1, served.attempts);
                looks.push(Look::new(begun, served));
            }
            let image = self.obtain(&mut looks).await;
            images.push((looks, image));
        }
        // Held until the report is durable: who crashes next must not make these run again.
        let pass = self.gate.alone().await;
        if received.lease.stopping() {
            return Ok(Handled::GiveBack);
        }
        for look in images.iter_mut().flat_map(|(looks, _)| open(looks)) {
            let id = received.message.origin.task(look.begun.task.n);
            let counted = self.platform.requests.count_attempt(id, received.message.round).await?;
            look.begun.attempts = look.begun.task.tries + counted;
        }
        tracing::info!(origin = %received.message.origin, task_count = tasks.len(),
            "suspect tasks run beside nothing else");
        let mut looks = Vec::new();
        for (mut of_image, image) in images {
            if let Some(image) = image {
                self.look_alone(&mut of_image, image, pass.clone()).await;
            }
            looks.append(&mut of_image);
        }
        let ends = join_all(looks.into_iter().map(|look| self.end_look(look))).await;
        self.report_ends(received, ends).await?;
        drop(pass);
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
        self.look_alone(std::slice::from_mut(&mut look), image, pass.clone()).await;
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
