//! Where a request stands: the latest outcome of each task over its rounds.

use std::collections::BTreeMap;

use flota_core::{Counts, Outcome, PortResult, Request, RequestId, Round, Status, ports::Requests};
use jiff::Timestamp;

/// A request with all that is recorded of it. There is at least one round.
pub(crate) struct RequestState {
    pub(crate) request: Request,
    pub(crate) rounds: Vec<Round>,
    /// The outcomes of each of `rounds`, by the task's number.
    outcomes: Vec<BTreeMap<u32, Outcome>>,
}

impl RequestState {
    /// Reads what is recorded of `id`; `None` where there is no such request.
    pub(crate) async fn load(requests: &dyn Requests, id: RequestId) -> PortResult<Option<Self>> {
        let Some(request) = requests.request(id).await? else { return Ok(None) };
        // Rounds first: what is read as finished then has all its outcomes.
        let rounds = requests.rounds(id).await?;
        let mut outcomes = Vec::with_capacity(rounds.len());
        for round in &rounds {
            let packs = requests.packs(round.key).await?;
            outcomes.push(packs.into_iter().flat_map(|(_, record)| record.outcomes).collect());
        }
        Ok(Some(Self { request, rounds, outcomes }))
    }

    /// A request of which nothing is recorded yet but that it was accepted.
    pub(crate) fn accepted(request: Request) -> Self {
        let first = Round::first(&request, request.created_at);
        Self { request, rounds: vec![first], outcomes: vec![BTreeMap::new()] }
    }

    /// As it stood when `round` was the last one.
    pub(crate) fn cut_after(mut self, round: u32) -> Self {
        let len = (round as usize).clamp(1, self.rounds.len());
        self.rounds.truncate(len);
        self.outcomes.truncate(len);
        self
    }

    /// The last round.
    pub(crate) fn last(&self) -> &Round {
        self.rounds.last().expect("a request is kept with its first round")
    }

    /// The outcome of task `n` in the last round that runs it, with that round's number; `None`
    /// while it is open there.
    pub(crate) fn latest(&self, n: u32) -> Option<(u32, &Outcome)> {
        let index = self.rounds.iter().rposition(|round| runs(round, n))?;
        let outcome = self.outcomes[index].get(&n)?;
        Some((self.rounds[index].key.round, outcome))
    }

    /// The outcome of task `n` in `round`.
    pub(crate) fn in_round(&self, round: u32, n: u32) -> Option<(u32, &Outcome)> {
        let index = self.rounds.iter().position(|r| r.key.round == round)?;
        Some((round, self.outcomes[index].get(&n)?))
    }

    /// How many tasks stand where.
    pub(crate) fn counts(&self) -> Counts {
        let all = 0..self.request.task_count();
        Counts::of(all.map(|n| self.latest(n).map(|(_, outcome)| outcome)))
    }

    /// How many of the tasks that the `index`th round runs stand where.
    pub(crate) fn counts_of(&self, index: usize) -> Counts {
        let all = 0..self.request.task_count();
        let run = all.filter(|n| runs(&self.rounds[index], *n));
        Counts::of(run.map(|n| self.outcomes[index].get(&n)))
    }

    /// What `counts` add up to. Terminal only once the last round is marked finished: what a
    /// client reads as finished is called back and can be replayed.
    pub(crate) fn status(&self, counts: &Counts) -> Status {
        match self.finished_at() {
            None if counts.open == 0 => Status::Processing,
            None | Some(_) => counts.status(),
        }
    }

    /// When the last round finished.
    pub(crate) fn finished_at(&self) -> Option<Timestamp> {
        self.last().finished_at
    }
}

/// Whether `round` runs task `n`.
pub(crate) fn runs(round: &Round, n: u32) -> bool {
    round.replayed.as_ref().is_none_or(|replayed| replayed.contains(&n))
}
