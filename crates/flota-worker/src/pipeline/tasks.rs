//! Runs the tasks of a delivery: a first one beside others, a later one isolated.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flota_core::{
    Code, Fault, ModelDirectory, ModelName, PortResult, TaskMessage, WorkerName, consume::Handled,
    ports::Requests,
};
use flota_platform::Platform;
use futures::future::{join_all, try_join_all};
use tokio::sync::Mutex;

use super::{
    attempt::{Attempt, Failure, PackDelivery},
    batch::ServedModel,
    image::{ImageRun, ImageRunner},
    report::Reporter,
    result::{RetryPolicy, TaskResult},
};

/// For so long a task waits for a process of this worker that serves its model: longer than it takes to
/// replace all of them by newer ones.
const MAX_DEFERRAL: Duration = Duration::from_secs(60 * 60);

/// Runs the tasks of a worker.
pub(crate) struct TaskRunner {
    worker: Worker,
    images: ImageRunner,
    reporter: Reporter,
    retry: RetryPolicy,
    requests: Arc<dyn Requests>,
    directory: ModelDirectory,
    /// Held by the one isolated group that fetches or runs.
    isolating: Mutex<()>,
}

/// What a worker serves.
pub(crate) struct Worker {
    pub(crate) name: WorkerName,
    pub(crate) models: BTreeMap<ModelName, Arc<ServedModel>>,
    /// Most tasks of an isolated group: each holds a permit among the images that are fetched.
    pub(crate) max_isolated: usize,
}

impl TaskRunner {
    /// A runner of the tasks of `worker`.
    pub(crate) fn new(
        platform: &Platform,
        worker: Worker,
        images: ImageRunner,
        reporter: Reporter,
        retry: RetryPolicy,
    ) -> Self {
        let requests = Arc::clone(&platform.requests);
        let directory = ModelDirectory::new(platform.models.clone(), platform.clock.clone());
        Self { worker, images, reporter, retry, requests, directory, isolating: Mutex::default() }
    }

    /// Runs the tasks of a message that was not received before.
    pub(crate) async fn run_first(&self, delivery: &PackDelivery) -> PortResult<Handled> {
        let images = delivery.message.tasks.chunk_by(|a, b| a.image == b.image);
        let results = try_join_all(images.map(|tasks| self.run_image(tasks, delivery))).await?;
        let results: Vec<TaskResult> = results.into_iter().flatten().collect();
        let is_started = |result: &TaskResult| !matches!(result, TaskResult::NotStarted(_));
        if !results.is_empty() && !results.iter().any(is_started) {
            return Ok(Handled::Release);
        }
        delivery.lease.reporting();
        self.reporter.report(delivery, results).await?;
        Ok(Handled::Ack)
    }

    /// Runs the tasks of a message that was received before, those that were begun least first: one of them
    /// may have ended its process. Each is counted durably before it runs, and nothing else runs meanwhile, so
    /// that what ends the process is isolated and the rest of its batch is not blamed. Tasks that no earlier
    /// delivery counted run in two halves, each reported before the next begins: most processes are ended by
    /// something else, or by one task. Those of a half that ended its process run one by one.
    pub(crate) async fn run_isolated(&self, delivery: &PackDelivery) -> PortResult<Handled> {
        let message = &delivery.message;
        let mut tasks = Vec::new();
        for task in &message.tasks {
            let id = message.source.task(task.n);
            tasks.push((self.requests.attempts(id, message.round).await?, task));
        }
        tasks.sort_by_key(|(counted, _)| *counted);
        let (groups, single): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|(counted, task)| self.may_share(*counted, task));
        let half = groups.len().div_ceil(2).clamp(1, self.worker.max_isolated);
        for group in groups.chunks(half) {
            let tasks = group.iter().map(|(_, task)| *task).collect::<Vec<_>>();
            if self.run_isolated_group(&tasks, delivery).await? == Handled::Release {
                return Ok(Handled::Release);
            }
        }
        for (counted, task) in single {
            if self.run_isolated_task(task, delivery, counted).await? == Handled::Release {
                return Ok(Handled::Release);
            }
        }
        Ok(Handled::Ack)
    }

    /// Runs tasks of one image.
    ///
    /// # Errors
    /// If it cannot be looked up who serves a model that this worker does not.
    async fn run_image(
        &self,
        tasks: &[TaskMessage],
        delivery: &PackDelivery,
    ) -> PortResult<Vec<TaskResult>> {
        let (mut attempts, mut results) = (Vec::new(), Vec::new());
        for task in tasks {
            match self.attempt(task, delivery) {
                Some(attempt) => attempts.push(attempt),
                None => results.push(self.reroute(task, delivery).await?),
            }
        }
        let answers = self.images.run(attempts).await;
        results.extend(
            answers.into_iter().map(|(attempt, answer)| self.retry.result(&attempt, answer)),
        );
        Ok(results)
    }

    /// The next attempt at a task, if its model is served.
    fn attempt<'a>(
        &'a self,
        task: &'a TaskMessage,
        delivery: &'a PackDelivery,
    ) -> Option<(Attempt<'a>, &'a Arc<ServedModel>)> {
        let model = self.worker.models.get(&task.model)?;
        Some((Attempt::new(task, delivery, task.tries + 1, model.max_attempts), model))
    }

    /// Whether a task may share an isolated group: it was not counted yet, and once it is it may still be
    /// begun again, by itself.
    fn may_share(&self, counted: u32, task: &TaskMessage) -> bool {
        let model = self.worker.models.get(&task.model);
        counted == 0 && model.is_some_and(|model| model.max_attempts > 1)
    }

    /// Runs `tasks` of models that are served beside each other and nothing else.
    async fn run_isolated_group(
        &self,
        tasks: &[&TaskMessage],
        delivery: &PackDelivery,
    ) -> PortResult<Handled> {
        // Several permits to fetch are held by one group alone, or two of them might each wait for what the
        // other holds.
        let _only = self.isolating.lock().await;
        let mut runs = Vec::new();
        for tasks in tasks.chunk_by(|a, b| a.image == b.image) {
            let attempts = tasks.iter().filter_map(|task| self.attempt(task, delivery));
            runs.push(self.images.fetch(attempts.collect()).await);
        }
        self.compute_isolated(runs, delivery).await
    }

    async fn run_isolated_task(
        &self,
        task: &TaskMessage,
        delivery: &PackDelivery,
        counted: u32,
    ) -> PortResult<Handled> {
        let Some(model) = self.worker.models.get(&task.model) else {
            let result = self.reroute(task, delivery).await?;
            return self.report_isolated(delivery, vec![result]).await;
        };
        let begun = task.tries + counted;
        if counted >= model.max_attempts {
            let attempt = Attempt::new(task, delivery, begun, model.max_attempts);
            return self.report_isolated(delivery, vec![self.retry.crashed(&attempt)]).await;
        }
        // A fetch runs no code but ours, and a slow server is no poison: it is not counted.
        let attempt = Attempt::new(task, delivery, begun + 1, model.max_attempts);
        let run = self.images.fetch(vec![(attempt, model)]).await;
        self.compute_isolated(vec![run], delivery).await
    }

    /// Counts the attempts of `runs` that are left to compute, runs them beside nothing else, and reports all.
    async fn compute_isolated(
        &self,
        mut runs: Vec<ImageRun<'_>>,
        delivery: &PackDelivery,
    ) -> PortResult<Handled> {
        // What others compute needs shared permits, so it is waited for first.
        join_all(runs.iter_mut().map(|run| run.join_computations())).await;
        // Held until the report is durable: the next crash must not make these run again.
        let permit = match runs.iter().any(ImageRun::has_image) {
            true => Some(self.images.exclusive().await),
            false => None,
        };
        if let Some(permit) = &permit {
            if delivery.lease.stopping() {
                return Ok(Handled::Release);
            }
            let message = &delivery.message;
            for attempt in runs.iter_mut().flat_map(|run| run.open_attempts()) {
                let id = message.source.task(attempt.task.n);
                let counted = self.requests.count_attempt(id, message.round).await?;
                attempt.number = attempt.task.tries + counted;
                tracing::info!(task.id = %id, attempts = counted, "running the task isolated");
            }
            for run in &mut runs {
                self.images.compute_isolated(run, permit.clone()).await;
            }
        }
        let answers = join_all(runs.into_iter().map(ImageRun::finish)).await;
        let answers = answers.into_iter().flatten();
        let results = answers.map(|(attempt, answer)| self.retry.result(&attempt, answer));
        let handled = self.report_isolated(delivery, results.collect()).await;
        drop(permit);
        handled
    }

    async fn report_isolated(
        &self,
        delivery: &PackDelivery,
        results: Vec<TaskResult>,
    ) -> PortResult<Handled> {
        if results.iter().any(|result| matches!(result, TaskResult::NotStarted(_))) {
            return Ok(Handled::Release);
        }
        self.reporter.report(delivery, results).await?;
        Ok(Handled::Ack)
    }

    /// Sends `task` on to the worker that serves its model now. A model that no worker serves is a failure.
    ///
    /// # Errors
    /// If that cannot be looked up.
    async fn reroute(&self, task: &TaskMessage, delivery: &PackDelivery) -> PortResult<TaskResult> {
        let registered = self.directory.get(&task.model).await?;
        let attempt = Attempt::new(task, delivery, task.tries, task.tries);
        Ok(match registered.map(|model| model.registration.worker) {
            Some(worker) if worker != self.worker.name => {
                TaskResult::Rerouted(task.clone(), worker)
            }
            Some(_) => self.defer(&attempt),
            None => {
                let message = format!("this worker does not serve the model `{}`", task.model);
                self.retry.failed(&attempt, Failure::new(Code::ModelNotServed, message))
            }
        })
    }

    /// Leaves a task to another process of this worker, one of a newer deployment. That is no attempt.
    fn defer(&self, attempt: &Attempt<'_>) -> TaskResult {
        let (task, now) = (attempt.task, self.retry.clock.now());
        let message = format!("no process of this worker serves the model `{}`", task.model);
        let first = task.faults.iter().find(|fault| fault.code == Code::ModelNotServed);
        match first.map(|fault| now.duration_since(fault.at)) {
            None => {
                let fault = Fault::new(now, Code::ModelNotServed, &message);
                let faults = fault.after(&task.faults);
                TaskResult::Deferred(TaskMessage { faults, ..task.clone() })
            }
            Some(waited) if waited.unsigned_abs() < MAX_DEFERRAL => {
                TaskResult::Deferred(task.clone())
            }
            Some(_) => self.retry.retry(attempt, Failure::new(Code::ModelNotServed, message)),
        }
    }
}
