//! What becomes of a task after an attempt: its outcome, or that it is tried again.

use std::{sync::Arc, time::Duration};

use flota_core::{
    Alias, Code, DeadLetter, DeadLetterState, Ending, Fault, FetchRetries, ModelName, Outcome,
    Prediction, Reason, Subject, TaskMessage, TaskOutcome, TaskSource, WorkerName, backoff,
    ports::{Clock, Retry},
};

use super::{
    attempt::{Answer, Attempt, Computed, ComputedAnswer, Failure},
    single_flight::Flight,
};
use crate::metrics;

/// What becomes of a task after an attempt.
pub(crate) enum TaskResult {
    /// It has its outcome.
    Ended(Box<EndedTask>),
    /// A transient fault: it is sent again.
    Retry(TaskMessage),
    /// Its image's host failed, or has no room: it is sent again after this time.
    Parked(TaskMessage, Duration),
    /// The worker stops before it was begun.
    NotStarted(TaskMessage),
    /// No process of this worker serves its model yet: it is sent again.
    Deferred(TaskMessage),
    /// This worker serves its model now.
    Rerouted(TaskMessage, WorkerName),
}

/// A task that has its outcome.
pub(crate) struct EndedTask {
    pub(crate) model: ModelName,
    pub(crate) outcome: TaskOutcome,
    /// The prediction that was computed for it.
    pub(crate) prediction: Option<Arc<Prediction>>,
    /// What its object was found to contain.
    pub(crate) alias: Option<Alias>,
    /// Stored where its attempts ran out, or where no request records that it failed.
    pub(crate) dead_letter: Option<DeadLetter>,
    /// Held until it is reported, so that an equal image meanwhile is not computed again.
    pub(crate) _flight: Option<Flight<Computed>>,
}

/// Decides what becomes of tasks, and how long they wait that are tried again.
#[derive(Clone)]
pub(crate) struct RetryPolicy {
    pub(crate) clock: Arc<dyn Clock>,
    /// The first and the longest wait.
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    /// How long a task is tried again after faults of its image's host.
    pub(crate) fetch_for: Duration,
}

impl RetryPolicy {
    /// What becomes of the task of `attempt`.
    pub(crate) fn result(&self, attempt: &Attempt<'_>, answer: Answer) -> TaskResult {
        match answer {
            Answer::NotStarted => TaskResult::NotStarted(attempt.task.clone()),
            Answer::Failed(failure) => self.failed(attempt, failure),
            Answer::Cached(prediction) => {
                metrics::cached();
                let ending = Ending::Succeeded { prediction: prediction.key, cached: true };
                TaskResult::Ended(Box::new(self.ended(attempt, ending)))
            }
            Answer::Computed(ComputedAnswer { computed, is_duplicate, flight }) => {
                let mut result = match computed.result {
                    Err(failure) => self.failed(attempt, failure),
                    Ok(prediction) => {
                        let key = prediction.key.clone();
                        let ending = Ending::Succeeded { prediction: key, cached: is_duplicate };
                        let ended = self.ended(attempt, ending);
                        TaskResult::Ended(Box::new(EndedTask {
                            prediction: Some(prediction),
                            ..ended
                        }))
                    }
                };
                if let TaskResult::Ended(ended) = &mut result {
                    ended._flight = Some(flight);
                }
                result
            }
        }
    }

    /// The result of an attempt that failed. Faults of the image's host are tried again first: they last by
    /// time, and are no attempts.
    pub(crate) fn failed(&self, attempt: &Attempt<'_>, failure: Failure) -> TaskResult {
        match failure.retry {
            Retry::Never => self.failed_for_good(attempt, failure),
            Retry::Later { after } => self.park(attempt, failure, after, true),
            Retry::Open { after } => self.park(attempt, failure, after, false),
            Retry::Busy { after } => {
                metrics::parked("busy");
                TaskResult::Parked(attempt.task.clone(), after)
            }
        }
    }

    /// Sends a task again after a transient fault, unless it was begun often enough.
    pub(crate) fn retry(&self, attempt: &Attempt<'_>, failure: Failure) -> TaskResult {
        let tries = attempt.task.tries + 1;
        let faults = self.faults(attempt, &failure);
        if tries < attempt.limit {
            return TaskResult::Retry(TaskMessage { tries, faults, ..attempt.task.clone() });
        }
        self.dead_lettered(attempt, Reason::AttemptsExhausted, failure, faults)
    }

    /// The result of a task that ended its process at each attempt.
    pub(crate) fn crashed(&self, attempt: &Attempt<'_>) -> TaskResult {
        let message = format!("the worker ended {} times while it ran this task", attempt.number);
        let failure = Failure::new(Code::WorkerCrashed, message);
        self.dead_lettered(attempt, Reason::WorkerCrashed, failure, attempt.task.faults.clone())
    }

    /// Parks a task whose host failed: its own fetch (`is_own`), or those of others. Once it was parked long
    /// enough, it ends with its last code.
    fn park(
        &self,
        attempt: &Attempt<'_>,
        failure: Failure,
        after: Duration,
        is_own: bool,
    ) -> TaskResult {
        let now = self.clock.now();
        let retries = FetchRetries::after(attempt.task.fetch_retries, now, is_own);
        let left = retries.left(now, self.fetch_for);
        let faults = match is_own {
            true => self.faults(attempt, &failure),
            false => attempt.task.faults.clone(),
        };
        if left.is_zero() {
            // The last fault is that of the outcome, also where it was met by others.
            let is_last = faults.last().is_some_and(|fault| fault.code == failure.code);
            let faults = if is_last { faults } else { self.faults(attempt, &failure) };
            return self.dead_lettered(attempt, Reason::AttemptsExhausted, failure, faults);
        }
        metrics::parked(if is_own { "failed" } else { "open" });
        let own = backoff(retries.count, self.base, self.cap, self.clock.random());
        // The last try is at the end of the time, whatever the host asks.
        let delay = own.max(self.base / 2).max(after).min(left);
        let task = TaskMessage { faults, fetch_retries: Some(retries), ..attempt.task.clone() };
        TaskResult::Parked(task, delay)
    }

    /// The result of a task that would fail again. One of an upload event is dead-lettered, for no request
    /// records it, unless its object is gone or replaced: then there is no image to run it on.
    fn failed_for_good(&self, attempt: &Attempt<'_>, failure: Failure) -> TaskResult {
        match attempt.delivery.message.source {
            TaskSource::Upload(_) if failure.code != Code::FetchNotFound => {
                let faults = self.faults(attempt, &failure);
                self.dead_lettered(attempt, Reason::Failed, failure, faults)
            }
            TaskSource::Upload(_) | TaskSource::Request(_) => {
                let ending = Ending::failed(failure.code, failure.message);
                TaskResult::Ended(Box::new(self.ended(attempt, ending)))
            }
        }
    }

    /// The faults of the task, this one the last.
    fn faults(&self, attempt: &Attempt<'_>, failure: &Failure) -> Vec<Fault> {
        let now = self.clock.now();
        Fault::new(now, failure.code, &failure.message).after(&attempt.task.faults)
    }

    fn dead_lettered(
        &self,
        attempt: &Attempt<'_>,
        reason: Reason,
        failure: Failure,
        history: Vec<Fault>,
    ) -> TaskResult {
        let ended = self.ended(attempt, Ending::failed(failure.code, failure.message.as_str()));
        let (n, tasks) = (attempt.task.n, &attempt.delivery.message);
        let (task, round) = (tasks.source.task(n), tasks.round);
        let letter = DeadLetter {
            id: DeadLetter::id_of(task, round),
            subject: Subject::Task {
                task,
                round,
                model: attempt.task.model.clone(),
                image: attempt.task.image.clone(),
                client: tasks.client.clone(),
                priority: tasks.priority,
            },
            reason,
            message: failure.message,
            attempts: attempt.number
                + attempt.task.fetch_retries.map_or(0, |retries| retries.count),
            history,
            created_at: ended.outcome.outcome.ended_at,
            state: DeadLetterState::Open,
        };
        TaskResult::Ended(Box::new(EndedTask { dead_letter: Some(letter), ..ended }))
    }

    fn ended(&self, attempt: &Attempt<'_>, ending: Ending) -> EndedTask {
        let has_prediction = matches!(ending, Ending::Succeeded { .. });
        let outcome = Outcome {
            ending,
            attempts: attempt.number,
            timings: attempt.timings.clone(),
            ended_at: self.clock.now(),
        };
        EndedTask {
            model: attempt.task.model.clone(),
            outcome: TaskOutcome { n: attempt.task.n, outcome },
            prediction: None,
            alias: attempt.alias.clone().filter(|_| has_prediction),
            dead_letter: None,
            _flight: None,
        }
    }
}
