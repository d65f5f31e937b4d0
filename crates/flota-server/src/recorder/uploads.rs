use flota_core::{DeadLetter, Ending, OutcomesMessage, PortResult, Subject, TaskOutcome};

use super::recording::Recording;
use crate::metrics;

impl Recording {
    /// Stores the results of tasks of upload events: predictions, aliases, and dead letters of
    /// failed tasks. Repeating it has no effect.
    pub(super) async fn record_uploads(&self, message: &OutcomesMessage) -> PortResult<()> {
        self.keep_what_was_seen(message).await?;
        for letter in &message.dead_letters {
            if is_of(letter, message) {
                self.dead_letters.put(letter).await?;
            }
        }
        for outcome in &message.outcomes {
            self.evaluate_replay(outcome, message).await?;
            count_upload(outcome, message);
        }
        Ok(())
    }

    /// Records in the dead letter of a replayed task how the task ended.
    async fn evaluate_replay(
        &self,
        task: &TaskOutcome,
        message: &OutcomesMessage,
    ) -> PortResult<()> {
        let Some(earlier) = message.round.checked_sub(1).filter(|round| *round > 0) else {
            return Ok(());
        };
        let id = DeadLetter::id_of(message.source.task(task.n), earlier);
        let has_succeeded = matches!(task.outcome.ending, Ending::Succeeded { .. });
        self.dead_letters.replay_ended(&id, message.round, has_succeeded).await
    }
}

fn is_of(letter: &DeadLetter, message: &OutcomesMessage) -> bool {
    let Subject::Task { task, round, .. } = &letter.subject else { return false };
    *task == message.source.task(task.n) && *round == message.round
}

fn count_upload(task: &TaskOutcome, message: &OutcomesMessage) {
    let ending = &task.outcome.ending;
    let letter = || {
        let is_of = |letter: &&DeadLetter| {
            matches!(&letter.subject, Subject::Task { task: dead, .. }
            if dead.n == task.n)
        };
        message.dead_letters.iter().find(is_of)
    };
    match ending {
        Ending::Succeeded { prediction, .. } => {
            metrics::outcome(&prediction.model, &task.outcome, None)
        }
        _ => match letter().and_then(DeadLetter::model) {
            Some(model) => metrics::outcome(model, &task.outcome, None),
            None => metrics::upload_gone(),
        },
    }
}
