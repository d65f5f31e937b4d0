//! What becomes of a task.

use std::time::Duration;

use flota_core::{
    Code, DeadLetter, DeadLetterState, Ending, Fault, FetchRetries, Origin, Outcome, Prediction,
    Reason, Subject, TaskMessage, TaskOutcome, WorkerName, backoff, ports::Retry,
};

use super::{
    handler::Pipeline,
    in_hand::{Computation, Computed, Failure},
    report::Report,
    task::Begun,
};
use crate::metrics;

/// What becomes of a task.
pub(crate) enum End {
    /// It has its outcome.
    Done(Box<Report>),
    /// A fault that time may heal: it is sent again.
    Again(TaskMessage),
    /// Its image's host failed, or has no room: it is sent again after this time.
    Parked(TaskMessage, Duration),
    /// The worker stops before it was begun.
    NotBegun(TaskMessage),
    /// Another process of this worker is to run it.
    Waits(TaskMessage),
    /// Another worker serves its model.
    Elsewhere(TaskMessage, WorkerName),
}

impl End {
    /// Keeps a computation in hand until this end is reported.
    pub(crate) fn holding(self, computation: Computation) -> Self {
        match self {
            Self::Done(report) => {
                Self::Done(Box::new(Report { _held: Some(computation), ..*report }))
            }
            other => other,
        }
    }
}

impl Pipeline {
    /// The end of a task whose image was looked at before.
    pub(crate) fn end_known(&self, begun: &Begun<'_>, prediction: Prediction) -> End {
        metrics::cached();
        let ending = Ending::Succeeded { prediction: prediction.key, cached: true };
        End::Done(Box::new(self.report(begun, ending)))
    }

    /// The end of a task whose image was computed, for it or for an equal one (`cached`).
    pub(crate) fn end(&self, begun: &Begun<'_>, computed: Computed, cached: bool) -> End {
        match computed.result {
            Err(failure) => self.end_failed(begun, failure),
            Ok(prediction) => {
                let ending = Ending::Succeeded { prediction: prediction.key.clone(), cached };
                let report = self.report(begun, ending);
                End::Done(Box::new(Report { prediction: Some(prediction), ..report }))
            }
        }
    }

    /// The end of a task that has no prediction. Faults of the image's host are tried again first: they
    /// last by time, and are no attempts.
    pub(crate) fn end_failed(&self, begun: &Begun<'_>, failure: Failure) -> End {
        match failure.retry {
            Retry::Never => self.end_for_good(begun, failure),
            Retry::Later { after } => self.park(begun, failure, after, true),
            Retry::Open { after } => self.park(begun, failure, after, false),
            Retry::Busy { after } => {
                metrics::parked("busy");
                End::Parked(begun.task.clone(), after)
            }
        }
    }

    /// Parks a task whose host failed: it (`is_own`) or others. Once it was parked long enough, it ends
    /// with its last code.
    fn park(&self, begun: &Begun<'_>, failure: Failure, after: Duration, is_own: bool) -> End {
        let now = self.platform.clock.now();
        let retries = FetchRetries::after(begun.task.fetch_retries, now, is_own);
        let left = retries.left(now, self.retry.fetch_for);
        let faults = match is_own {
            true => self.faults(begun, &failure),
            false => begun.task.faults.clone(),
        };
        if left.is_zero() {
            // The last fault is that of the outcome, also where it was met by others.
            let is_last = faults.last().is_some_and(|fault| fault.code == failure.code);
            let faults = if is_last { faults } else { self.faults(begun, &failure) };
            return self.end_dead(begun, Reason::AttemptsExhausted, failure, faults);
        }
        metrics::parked(if is_own { "failed" } else { "open" });
        let random = self.platform.clock.random();
        let own = backoff(retries.count, self.retry.base, self.retry.cap, random);
        // The last try is at the end of the time, whatever the host asks.
        let delay = own.max(self.retry.base / 2).max(after).min(left);
        End::Parked(
            TaskMessage { faults, fetch_retries: Some(retries), ..begun.task.clone() },
            delay,
        )
    }

    /// The end of a task until it is tried again, or where it was tried often enough.
    pub(crate) fn try_again(&self, begun: &Begun<'_>, failure: Failure) -> End {
        let tries = begun.task.tries + 1;
        let faults = self.faults(begun, &failure);
        if tries < begun.limit {
            return End::Again(TaskMessage { tries, faults, ..begun.task.clone() });
        }
        self.end_dead(begun, Reason::AttemptsExhausted, failure, faults)
    }

    /// The end of a task that ended its process each time it was begun.
    pub(crate) fn end_crashed(&self, begun: &Begun<'_>) -> End {
        let message = format!("the worker ended {} times while it ran this task", begun.attempts);
        let failure = Failure::new(Code::WorkerCrashed, message);
        self.end_dead(begun, Reason::WorkerCrashed, failure, begun.task.faults.clone())
    }

    /// The end of a task that would fail again. Of one of an upload event a dead letter keeps it,
    /// for no request does; but where the object is gone or replaced there is nothing to look at.
    fn end_for_good(&self, begun: &Begun<'_>, failure: Failure) -> End {
        match begun.received.message.origin {
            Origin::Events(_) if failure.code != Code::FetchNotFound => {
                let faults = self.faults(begun, &failure);
                self.end_dead(begun, Reason::Failed, failure, faults)
            }
            Origin::Events(_) | Origin::Request(_) => {
                let ending = Ending::failed(failure.code, failure.message);
                End::Done(Box::new(self.report(begun, ending)))
            }
        }
    }

    /// The faults of `begun`, this one the last.
    fn faults(&self, begun: &Begun<'_>, failure: &Failure) -> Vec<Fault> {
        let now = self.platform.clock.now();
        Fault::new(now, failure.code, &failure.message).after(&begun.task.faults)
    }

    fn end_dead(
        &self,
        begun: &Begun<'_>,
        reason: Reason,
        failure: Failure,
        history: Vec<Fault>,
    ) -> End {
        let report = self.report(begun, Ending::failed(failure.code, failure.message.as_str()));
        let (n, tasks) = (begun.task.n, &begun.received.message);
        let (task, round) = (tasks.origin.task(n), tasks.round);
        let (model, image) = (begun.task.model.clone(), begun.task.image.clone());
        let letter = DeadLetter {
            id: DeadLetter::task_id(task.request, n, round),
            subject: match tasks.origin {
                Origin::Request(_) => Subject::Task { task, round, model, image },
                Origin::Events(_) => {
                    let (client, lane) = (tasks.client.clone(), tasks.lane);
                    Subject::Upload { task, round, model, image, client, lane }
                }
            },
            reason,
            message: failure.message,
            attempts: begun.attempts + begun.task.fetch_retries.map_or(0, |retries| retries.count),
            history,
            created_at: report.outcome.outcome.ended_at,
            state: DeadLetterState::Open,
        };
        End::Done(Box::new(Report { dead_letter: Some(letter), ..report }))
    }

    fn report(&self, begun: &Begun<'_>, ending: Ending) -> Report {
        let is_seen = matches!(ending, Ending::Succeeded { .. });
        let outcome = Outcome {
            ending,
            attempts: begun.attempts,
            timings: begun.timings.clone(),
            ended_at: self.platform.clock.now(),
        };
        Report {
            model: begun.task.model.clone(),
            outcome: TaskOutcome { n: begun.task.n, outcome },
            prediction: None,
            alias: begun.alias.clone().filter(|_| is_seen),
            dead_letter: None,
            _held: None,
        }
    }
}
