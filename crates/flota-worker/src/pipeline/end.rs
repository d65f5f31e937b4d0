//! What becomes of a task.

use flota_core::{
    DeadLetter, DeadLetterState, Ending, Fault, Outcome, Prediction, Reason, Subject, TaskId,
    TaskMessage, TaskOutcome,
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
    /// The worker stops before it was begun.
    NotBegun(TaskMessage),
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

    /// The end of a task that has no prediction. What time may heal is tried again first.
    pub(crate) fn end_failed(&self, begun: &Begun<'_>, failure: Failure) -> End {
        if !failure.code.is_transient() {
            let ending = Ending::failed(failure.code, failure.message);
            return End::Done(Box::new(self.report(begun, ending)));
        }
        let tries = begun.task.tries + 1;
        let fault = Fault::new(self.platform.clock.now(), failure.code, &failure.message);
        let faults = fault.after(&begun.task.faults);
        if tries < self.served.attempts {
            return End::Again(TaskMessage { tries, faults, ..begun.task.clone() });
        }
        let message = format!("{tries} attempts failed, the last one so: {}", failure.message);
        self.end_dead(begun, Reason::AttemptsExhausted, message, faults)
    }

    /// The end of a task that ended its process each time it was begun.
    pub(crate) fn end_crashed(&self, begun: &Begun<'_>) -> End {
        let message = format!("the worker ended {} times while it ran this task", begun.attempts);
        self.end_dead(begun, Reason::WorkerCrashed, message, begun.task.faults.clone())
    }

    fn end_dead(
        &self,
        begun: &Begun<'_>,
        reason: Reason,
        message: String,
        history: Vec<Fault>,
    ) -> End {
        let code = reason.code().expect("it is why a task died, not a message");
        let (task, tasks) = (begun.task, &begun.received.message);
        let report = self.report(begun, Ending::failed(code, message.as_str()));
        let letter = DeadLetter {
            id: DeadLetter::task_id(tasks.request, task.n, tasks.round),
            subject: Subject::Task {
                task: TaskId { request: tasks.request, n: task.n },
                round: tasks.round,
                model: task.model.clone(),
                image: task.image.clone(),
            },
            reason,
            message,
            attempts: begun.attempts,
            history,
            created_at: report.outcome.outcome.ended_at,
            state: DeadLetterState::Open,
        };
        End::Done(Box::new(Report { dead_letter: Some(letter), ..report }))
    }

    fn report(&self, begun: &Begun<'_>, ending: Ending) -> Report {
        let outcome = Outcome {
            ending,
            attempts: begun.attempts,
            timings: begun.timings.clone(),
            ended_at: self.platform.clock.now(),
        };
        Report {
            outcome: TaskOutcome { n: begun.task.n, outcome },
            prediction: None,
            dead_letter: None,
            _held: None,
        }
    }
}
