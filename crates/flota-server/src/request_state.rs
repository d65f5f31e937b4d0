//! The state of a request, and pages of its outcomes. Each reads no more than it returns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flota_api::OutcomeView;
use flota_core::{
    Counts, Ending, Outcome, PortResult, Prediction, PredictionKey, Request, RequestId, Round,
    Status,
    ports::{Predictions, Requests},
};
use jiff::Timestamp;

/// A request and the progress of its rounds, without its outcomes. There is at least one round.
pub(crate) struct RequestState {
    pub(crate) request: Request,
    pub(crate) rounds: Vec<Round>,
    /// The counts of each of `rounds`.
    pub(crate) round_counts: Vec<Counts>,
    /// The counts of all tasks, each in the last round that runs it.
    pub(crate) counts: Counts,
}

/// A page of outcomes.
pub(crate) struct Page {
    /// Only tasks with a higher number.
    pub(crate) after: Option<u32>,
    /// Most outcomes, at least one.
    pub(crate) limit: usize,
    /// Only outcomes that were recorded in this round; `None`: the latest of each task.
    pub(crate) round: Option<u32>,
}

/// The outcome of a task, and its round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub(crate) n: u32,
    pub(crate) round: u32,
    pub(crate) outcome: Outcome,
}

/// Outcomes in the order of their tasks.
#[derive(Debug, PartialEq)]
pub(crate) struct EndedPage {
    pub(crate) ended: Vec<Ended>,
    /// The task after which the next page begins; `None` at the end.
    pub(crate) next_after: Option<u32>,
}

impl RequestState {
    /// Reads the state of `id`; `None` if it does not exist.
    pub(crate) async fn load(requests: &dyn Requests, id: RequestId) -> PortResult<Option<Self>> {
        Self::load_until(requests, id, u32::MAX).await
    }

    /// Reads the state as it was when `last_round` was the last round.
    pub(crate) async fn load_until(
        requests: &dyn Requests,
        id: RequestId,
        last_round: u32,
    ) -> PortResult<Option<Self>> {
        let Some(request) = requests.request(id).await? else { return Ok(None) };
        // Rounds are read before outcomes, so that a finished round has all of them.
        let mut rounds = requests.rounds(id).await?;
        rounds.truncate((last_round as usize).max(1));
        let mut round_counts = Vec::with_capacity(rounds.len());
        for round in &rounds {
            round_counts.push(requests.counts(round.key, &round.packs(&request)).await?);
        }
        let mut state = Self { request, rounds, round_counts, counts: Counts::default() };
        state.counts = state.latest_counts(requests).await?;
        Ok(Some(state))
    }

    /// The state of a request that was accepted just now.
    pub(crate) fn accepted(request: Request) -> Self {
        let first = Round::first(&request, request.created_at);
        let counts = Counts::all_open(request.task_count());
        Self { request, rounds: vec![first], round_counts: vec![counts], counts }
    }

    /// Adds the counts of all rounds, without tasks that a later round runs again.
    async fn latest_counts(&self, requests: &dyn Requests) -> PortResult<Counts> {
        let mut counts = Counts::default();
        for (index, round_counts) in self.round_counts.iter().enumerate() {
            counts += *round_counts;
            let later = self.rounds[index + 1..].iter().filter_map(|round| round.replayed.as_ref());
            let later: BTreeSet<u32> = later.flatten().copied().collect();
            let again: Vec<u32> =
                later.into_iter().filter(|n| self.rounds[index].runs(*n)).collect();
            if again.is_empty() {
                continue;
            }
            let ended = self.outcomes_in(requests, index, &again).await?;
            let ended: BTreeMap<u32, Outcome> =
                ended.into_iter().map(|ended| (ended.n, ended.outcome)).collect();
            counts = counts.without(Counts::of(again.iter().map(|n| ended.get(n))));
        }
        Ok(counts)
    }

    /// The last round.
    pub(crate) fn last(&self) -> &Round {
        self.rounds.last().expect("a request is kept with its first round")
    }

    /// The status that follows from the counts. It is terminal only once the last round is marked
    /// finished: a client that reads a terminal status can rely on the callback, and may replay.
    pub(crate) fn status(&self) -> Status {
        match self.finished_at() {
            None if self.counts.open == 0 => Status::Processing,
            None | Some(_) => self.counts.status(),
        }
    }

    /// When the last round finished.
    pub(crate) fn finished_at(&self) -> Option<Timestamp> {
        self.last().finished_at
    }

    /// All outcomes, each of the last round that runs its task.
    pub(crate) async fn all(&self, requests: &dyn Requests) -> PortResult<Vec<Ended>> {
        self.ended(requests, &(0..self.request.task_count()).collect::<Vec<_>>(), None).await
    }

    /// Reads the outcomes of `page`. If tasks are open, it also reads the tasks after the page,
    /// until one with an outcome shows that there is a next page.
    pub(crate) async fn page(&self, requests: &dyn Requests, page: &Page) -> PortResult<EndedPage> {
        let round = page.round.and_then(|number| self.index_of(number));
        let counts = round.map_or(&self.counts, |index| &self.round_counts[index]);
        let first = page.after.map_or(0, |n| n.saturating_add(1));
        let is_run = |n: &u32| round.is_none_or(|index| self.rounds[index].runs(*n));
        let tasks: Vec<u32> = (first..self.request.task_count()).filter(is_run).collect();
        let mut ended = Vec::new();
        if counts.ended() == 0 {
            return Ok(EndedPage { ended, next_after: None });
        }
        let wanted = page.limit + usize::from(counts.open > 0);
        let (mut rest, mut window) = (tasks.as_slice(), wanted);
        while !rest.is_empty() && ended.len() < wanted {
            let (read, left) = rest.split_at(window.min(rest.len()));
            ended.extend(self.ended(requests, read, page.round).await?);
            rest = left;
            window = window.saturating_mul(2);
        }
        let has_more = ended.len() > page.limit || counts.open == 0 && !rest.is_empty();
        ended.truncate(page.limit);
        let next_after = ended.last().map(|ended| ended.n).filter(|_| has_more);
        Ok(EndedPage { ended, next_after })
    }

    /// Reads the outcomes of `tasks` in `round`, or in the last round that runs each.
    async fn ended(
        &self,
        requests: &dyn Requests,
        tasks: &[u32],
        round: Option<u32>,
    ) -> PortResult<Vec<Ended>> {
        let mut by_round: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for n in tasks {
            let index = match round {
                Some(number) => self.index_of(number),
                None => self.rounds.iter().rposition(|round| round.runs(*n)),
            };
            if let Some(index) = index {
                by_round.entry(index).or_default().push(*n);
            }
        }
        let mut ended = Vec::new();
        for (index, tasks) in by_round {
            ended.extend(self.outcomes_in(requests, index, &tasks).await?);
        }
        ended.sort_by_key(|ended| ended.n);
        Ok(ended)
    }

    /// Reads the outcomes of `tasks`, ascending, in the round with this index.
    async fn outcomes_in(
        &self,
        requests: &dyn Requests,
        index: usize,
        tasks: &[u32],
    ) -> PortResult<Vec<Ended>> {
        let round = &self.rounds[index];
        let mut packs = round.packs(&self.request);
        packs.iter_mut().for_each(|pack| pack.tasks.retain(|n| tasks.binary_search(n).is_ok()));
        packs.retain(|pack| !pack.tasks.is_empty());
        let outcomes = requests.outcomes(round.key, &packs).await?.into_iter();
        let number = round.key.round;
        Ok(outcomes.map(|it| Ended { n: it.n, round: number, outcome: it.outcome }).collect())
    }

    fn index_of(&self, number: u32) -> Option<usize> {
        self.rounds.iter().position(|round| round.key.round == number)
    }
}

/// The outcomes in the API's types, with their predictions.
pub(crate) async fn views(
    predictions: &dyn Predictions,
    request: &Request,
    ended: &[Ended],
) -> PortResult<Vec<OutcomeView>> {
    let mut keys: Vec<PredictionKey> = ended.iter().filter_map(key).cloned().collect();
    keys.sort();
    keys.dedup();
    let known = if keys.is_empty() { Vec::new() } else { predictions.get(&keys).await? };
    let known: HashMap<PredictionKey, Prediction> =
        known.into_iter().map(|prediction| (prediction.key.clone(), prediction)).collect();
    let view = |ended: &Ended| {
        let prediction = key(ended).and_then(|key| known.get(key));
        Some(OutcomeView::new(&request.task(ended.n)?, ended.round, &ended.outcome, prediction))
    };
    Ok(ended.iter().filter_map(view).collect())
}

fn key(ended: &Ended) -> Option<&PredictionKey> {
    match &ended.outcome.ending {
        Ending::Succeeded { prediction, .. } => Some(prediction),
        Ending::Failed { .. } | Ending::Expired | Ending::Canceled => None,
    }
}

#[cfg(test)]
mod tests;
