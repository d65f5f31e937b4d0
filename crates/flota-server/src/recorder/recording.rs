use std::{collections::BTreeSet, sync::Arc};

use flota_core::{
    Callback, CallbackEvent, CallbackId, Counts, DeadLetter, Ending, OutcomesMessage, Pack,
    PackKey, PackRecord, PortResult, Request, RequestId, Round, RoundKey, Subject, TaskOutcome,
    TaskSource,
    ports::{Aliases, Clock, DeadLetters, Finish, Predictions, Recorded, Requests},
};
use tracing::warn;

use crate::{
    metrics::{self, DropReason},
    notifications::Notifications,
};

/// The steps from an outcomes message to a finished round. Repeating a step has no effect, so that
/// recovery after a crash just repeats them.
pub(crate) struct Recording {
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) predictions: Arc<dyn Predictions>,
    pub(crate) aliases: Arc<dyn Aliases>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notifications: Arc<Notifications>,
}

impl Recording {
    /// Records `message`. Outcomes of unknown requests, packs or tasks are dropped and counted.
    pub(crate) async fn record(&self, message: &OutcomesMessage) -> PortResult<()> {
        match message.source {
            TaskSource::Request(id) => self.record_for(id, message).await,
            TaskSource::Upload(_) => self.record_uploads(message).await,
        }
    }

    async fn record_for(&self, id: RequestId, message: &OutcomesMessage) -> PortResult<()> {
        let Some(request) = self.requests.request(id).await? else {
            metrics::outcomes_dropped(DropReason::UnknownRequest, message.outcomes.len());
            warn!(request.id = %id, "outcomes of an unknown request dropped");
            return Ok(());
        };
        let Some(pack) = self.pack_of(&request, message).await? else {
            metrics::outcomes_dropped(DropReason::UnknownPack, message.outcomes.len());
            warn!(request.id = %id, round = message.round, pack = message.pack,
                "outcomes of an unknown pack dropped");
            return Ok(());
        };
        self.record_pack(&request, &pack, message).await?;
        Ok(())
    }

    /// Like [`record`](Self::record), for a caller that has the request, and the pack with the
    /// tasks that its round runs. Returns the pack's record, read back.
    pub(crate) async fn record_pack(
        &self,
        request: &Request,
        pack: &Pack,
        message: &OutcomesMessage,
    ) -> PortResult<PackRecord> {
        let ours = |outcome: &&TaskOutcome| pack.tasks.contains(&outcome.n);
        let outcomes: Vec<TaskOutcome> = message.outcomes.iter().filter(ours).cloned().collect();
        metrics::outcomes_dropped(DropReason::UnknownTask, message.outcomes.len() - outcomes.len());

        self.keep_what_was_seen(message).await?;
        let outcomes = self.with_predictions(outcomes, message).await?;
        let round = RoundKey { request: request.id, round: message.round };
        let key = PackKey { round, pack: message.pack };
        let recorded = self.requests.record(key, &outcomes).await?;
        count(request, &outcomes, &recorded);
        for letter in &message.dead_letters {
            if is_beside_its_outcome(letter, round, message, &recorded) {
                self.dead_letters.put(letter).await?;
            }
        }
        if recorded.pack.is_complete(pack) {
            self.complete(request, key, recorded.pack.counts(pack)).await?;
        }
        Ok(recorded.pack)
    }

    /// Removes outcomes whose cached prediction has been deleted since. Their tasks stay open, so
    /// that the sweeper sends them again.
    async fn with_predictions(
        &self,
        mut outcomes: Vec<TaskOutcome>,
        message: &OutcomesMessage,
    ) -> PortResult<Vec<TaskOutcome>> {
        let brought: BTreeSet<_> = message.predictions.iter().map(|known| &known.key).collect();
        let found = |task: &TaskOutcome| match &task.outcome.ending {
            Ending::Succeeded { prediction, .. } if !brought.contains(prediction) => {
                Some(prediction.clone())
            }
            _ => None,
        };
        let keys: Vec<_> = outcomes.iter().filter_map(found).collect();
        if keys.is_empty() {
            return Ok(outcomes);
        }
        let stored = self.predictions.used(&keys).await?;
        let before = outcomes.len();
        outcomes.retain(|task| found(task).is_none_or(|key| stored.contains(&key)));
        metrics::outcomes_dropped(DropReason::PredictionDeleted, before - outcomes.len());
        Ok(outcomes)
    }

    /// Stores predictions first, then the aliases that refer to them.
    pub(super) async fn keep_what_was_seen(&self, message: &OutcomesMessage) -> PortResult<()> {
        if !message.predictions.is_empty() {
            self.predictions.put(&message.predictions).await?;
        }
        if !message.aliases.is_empty() {
            self.aliases.put(&message.aliases).await?;
        }
        Ok(())
    }

    /// Adds a complete pack with the counts `ended` to its round, and finishes the round if it was
    /// the last one.
    pub(crate) async fn complete(
        &self,
        request: &Request,
        key: PackKey,
        ended: Counts,
    ) -> PortResult<Round> {
        let round = self.requests.complete_pack(key, ended).await?;
        self.finish(request, &round).await?;
        Ok(round)
    }

    /// Marks the round finished and creates its callback, if all its packs are complete. True if
    /// they are.
    pub(crate) async fn finish(&self, request: &Request, round: &Round) -> PortResult<bool> {
        if !round.is_complete(request) {
            return Ok(false);
        }
        if round.finished_at.is_some() {
            return Ok(true);
        }
        let now = self.clock.now();
        let id = CallbackId { request: request.id, round: round.key.round };
        let event = CallbackEvent::RequestFinished;
        let wanted = request.callback.as_ref().filter(|target| target.events.contains(&event));
        let callback = wanted.map(|target| Callback::new(id, target.url.clone(), event, now));
        if self.requests.finish(&Finish { key: round.key, at: now, callback }).await? {
            metrics::round_finished(request, round.key.round, now);
        }
        self.notifications.request_finished(request.id);
        self.notifications.callback_due();
        Ok(true)
    }

    /// The pack of the message, with the tasks that its round runs.
    async fn pack_of(
        &self,
        request: &Request,
        message: &OutcomesMessage,
    ) -> PortResult<Option<Pack>> {
        let packs = match message.round {
            // The first round runs all tasks, so it need not be read.
            1 => request.packs(),
            number => {
                let rounds = self.requests.rounds(request.id).await?;
                let round = rounds.into_iter().find(|round| round.key.round == number);
                round.map_or_else(Vec::new, |round| round.packs(request))
            }
        };
        Ok(packs.into_iter().find(|pack| pack.index == message.pack))
    }
}

/// Whether `letter` belongs to a failed outcome that is recorded and comes from `message`. If
/// another outcome was recorded first, the dead letter is dropped.
fn is_beside_its_outcome(
    letter: &DeadLetter,
    key: RoundKey,
    message: &OutcomesMessage,
    recorded: &Recorded,
) -> bool {
    let Subject::Task { task, round, .. } = &letter.subject else { return false };
    if (task.source.request(), *round) != (Some(key.request), key.round) {
        return false;
    }
    let ours = message.outcomes.iter().find(|outcome| outcome.n == task.n);
    let (Some(ours), Some(kept)) = (ours, recorded.pack.outcomes.get(&task.n)) else {
        return false;
    };
    let Ending::Failed { code, .. } = &kept.ending else { return false };
    // Timings are not compared: a store may round them.
    letter.lies_beside(*code)
        && kept.ending == ours.outcome.ending
        && kept.attempts == ours.outcome.attempts
        && kept.ended_at == ours.outcome.ended_at
}

fn count(request: &Request, outcomes: &[TaskOutcome], recorded: &Recorded) {
    metrics::outcomes_dropped(
        DropReason::Duplicate,
        outcomes.len().saturating_sub(recorded.set.len()),
    );
    for n in &recorded.set {
        if let (Some(task), Some(outcome)) = (request.task(*n), recorded.pack.outcomes.get(n)) {
            metrics::outcome(&task.route.model, outcome, Some(request.created_at));
        }
    }
}
