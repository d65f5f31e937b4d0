//! Running dead tasks again, in a new round of their request.

use std::collections::{BTreeMap, BTreeSet};

use flota_core::{
    DeadLetter, DeadLetterState, PortResult, RequestId, RoundKey, Subject, TaskId,
    ports::{Clock, DeadLetters, Requests},
};
use flota_platform::settings::SweeperSettings;
use metrics::counter;
use tracing::{info, warn};

use crate::{
    dispatch::{Dispatcher, open_packs},
    standing::runs,
};

/// Replays dead letters, all of one request in one round.
pub(crate) struct Replay<'a> {
    pub(crate) requests: &'a dyn Requests,
    pub(crate) dead_letters: &'a dyn DeadLetters,
    pub(crate) dispatcher: &'a Dispatcher,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) settings: &'a SweeperSettings,
}

/// What became of a dead letter that was to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replayed {
    /// Its task runs again in this round.
    InRound(u32),
    /// Its request runs still: its next round opens when this one is finished.
    RequestNotFinished,
    /// It is a message that nobody can read: there is no task to run.
    NotATask,
    /// Its request is not known any more.
    RequestNotFound,
}

impl Replay<'_> {
    /// Replays `letters`, which are open; what became of each, by its id.
    pub(crate) async fn replay(
        &self,
        letters: &[DeadLetter],
    ) -> PortResult<Vec<(String, Replayed)>> {
        let mut replayed = Vec::new();
        let mut by_request: BTreeMap<RequestId, Vec<(&DeadLetter, TaskId, u32)>> = BTreeMap::new();
        for letter in letters {
            match &letter.subject {
                Subject::Task { task, round, .. } => {
                    by_request.entry(task.request).or_default().push((letter, *task, *round));
                }
                Subject::Message { .. } => replayed.push((letter.id.clone(), Replayed::NotATask)),
            }
        }
        for (request, letters) in by_request {
            replayed.extend(self.replay_request(request, &letters).await?);
        }
        Ok(replayed)
    }

    /// What keeps a letter that is open from being replayed; `None` where nothing does.
    pub(crate) async fn refusal(&self, letter: &DeadLetter) -> PortResult<Option<Replayed>> {
        let Subject::Task { task, .. } = &letter.subject else {
            return Ok(Some(Replayed::NotATask));
        };
        let rounds = self.requests.rounds(task.request).await?;
        Ok(match rounds.last() {
            None => Some(Replayed::RequestNotFound),
            Some(last) if last.finished_at.is_none() => Some(Replayed::RequestNotFinished),
            Some(_) => None,
        })
    }

    async fn replay_request(
        &self,
        id: RequestId,
        letters: &[(&DeadLetter, TaskId, u32)],
    ) -> PortResult<Vec<(String, Replayed)>> {
        let all = |replayed| letters.iter().map(|(l, ..)| (l.id.clone(), replayed)).collect();
        let rounds = self.requests.rounds(id).await?;
        let Some(last) = rounds.last() else { return Ok(all(Replayed::RequestNotFound)) };
        // A crash between the opening of a round and the decision leaves a letter open whose task
        // runs, or ran, again: it is decided now and not replayed twice.
        let later =
            |n: u32, died_in: u32| rounds.iter().find(|r| r.key.round > died_in && runs(r, n));
        let (begun, new): (Vec<_>, Vec<_>) =
            letters.iter().partition(|(_, task, died_in)| later(task.n, *died_in).is_some());
        let mut replayed = Vec::new();
        for &(letter, task, died_in) in begun {
            if let Some(round) = later(task.n, died_in) {
                replayed.push(self.decide(letter, round.key.round).await?);
            }
        }
        if new.is_empty() {
            return Ok(replayed);
        }
        let tasks: BTreeSet<u32> = new.iter().map(|(_, task, _)| task.n).collect();
        let key = RoundKey { request: id, round: last.key.round + 1 };
        let is_opened = last.finished_at.is_some() && self.open(key, &tasks).await?;
        for (letter, ..) in new {
            replayed.push(match is_opened {
                true => self.decide(letter, key.round).await?,
                false => (letter.id.clone(), Replayed::RequestNotFinished),
            });
        }
        Ok(replayed)
    }

    async fn decide(&self, letter: &DeadLetter, round: u32) -> PortResult<(String, Replayed)> {
        let state = DeadLetterState::Replayed { round, at: self.clock.now() };
        if self.dead_letters.decide(&letter.id, state).await? {
            counter!("flota_dead_letters_replayed_total").increment(1);
        }
        Ok((letter.id.clone(), Replayed::InRound(round)))
    }

    /// Opens the round and sends its tasks. False where another round was opened first.
    async fn open(&self, key: RoundKey, tasks: &BTreeSet<u32>) -> PortResult<bool> {
        let Some(request) = self.requests.request(key.request).await? else { return Ok(false) };
        let now = self.clock.now();
        let due_at = now + self.settings.accept_grace;
        if !self.requests.open_round(key, tasks, now, due_at).await? {
            return Ok(false);
        }
        info!(request.id = %key.request, round = key.round, task_count = tasks.len(),
            "dead letters are replayed in a new round");
        let packs = open_packs(request.packs(), |_, n| tasks.contains(&n));
        if self.dispatcher.send(&request, key.round, &packs).await {
            let due_at = self.clock.now() + self.settings.resend;
            if let Err(error) = self.requests.set_due(key, due_at).await {
                warn!(request.id = %key.request, %error, "the sweeper will send the tasks again");
            }
        }
        Ok(true)
    }
}
