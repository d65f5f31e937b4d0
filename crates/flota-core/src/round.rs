//! The rounds of a request, their progress, and the status that follows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Ending, Outcome, Pack, Request, RequestId};

/// The key of a round: the request, and 1 for its submission or a higher number for a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoundKey {
    /// The request.
    pub request: RequestId,
    /// The number of the round, from 1.
    pub round: u32,
}

/// The key of a pack's record in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackKey {
    /// The round.
    pub round: RoundKey,
    /// The pack's index in the request.
    pub pack: u32,
}

/// The record of a round's progress. It is small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The key of the round.
    pub key: RoundKey,
    /// The tasks that a replay runs again; `None` in round 1, which runs all.
    pub replayed: Option<BTreeSet<u32>>,
    /// The indices of the complete packs.
    pub complete: BTreeSet<u32>,
    /// When the sweeper checks the round next; `None` once it is finished.
    pub due_at: Option<Timestamp>,
    /// When the round was opened.
    pub opened_at: Timestamp,
    /// When the last task of the round ended.
    pub finished_at: Option<Timestamp>,
}

/// The outcomes of a pack in a round. Each is set once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackRecord {
    /// The outcomes by task number.
    pub outcomes: BTreeMap<u32, Outcome>,
    /// The last copy of the pack's open tasks that the sweeper sent.
    pub resent: Option<Resend>,
}

/// A copy of a pack's open tasks that the sweeper sent. Messages with a lower number are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend {
    /// The number of the copy, from 1. The first message of the pack has 0.
    pub copy: u32,
    /// When the copy was sent.
    pub sent_at: Timestamp,
}

/// Numbers of tasks by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All tasks.
    pub total: u32,
    /// Tasks without an outcome.
    pub open: u32,
    /// Tasks with a prediction.
    pub succeeded: u32,
    /// Failed tasks.
    pub failed: u32,
    /// Tasks whose deadline passed.
    pub expired: u32,
    /// Canceled tasks.
    pub canceled: u32,
}

/// The status of a request.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// No task has ended.
    Queued,
    /// Some tasks have ended.
    Processing,
    /// All tasks succeeded.
    Succeeded,
    /// Some tasks succeeded, others did not.
    PartiallyFailed,
    /// No task succeeded, and at least one failed.
    Failed,
    /// No task succeeded or failed, and at least one was canceled.
    Canceled,
    /// All tasks expired.
    Expired,
}

impl Status {
    /// Whether only a replay can change the status.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }
}

impl Counts {
    /// Counts `outcomes`; `None` is a task that has not ended.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = Option<&'a Outcome>>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            counts.total += 1;
            match outcome.map(|outcome| &outcome.ending) {
                None => counts.open += 1,
                Some(Ending::Succeeded { .. }) => counts.succeeded += 1,
                Some(Ending::Failed { .. }) => counts.failed += 1,
                Some(Ending::Expired) => counts.expired += 1,
                Some(Ending::Canceled) => counts.canceled += 1,
            }
        }
        counts
    }

    /// Counts of `total` tasks, none of which has ended.
    pub fn all_open(total: u32) -> Self {
        Self { total, open: total, ..Self::default() }
    }

    /// The number of tasks that have ended.
    pub fn ended(&self) -> u32 {
        self.succeeded + self.failed + self.expired + self.canceled
    }

    /// Subtracts `others`, which must be part of these.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self {
            total: self.total.saturating_sub(others.total),
            open: self.open.saturating_sub(others.open),
            succeeded: self.succeeded.saturating_sub(others.succeeded),
            failed: self.failed.saturating_sub(others.failed),
            expired: self.expired.saturating_sub(others.expired),
            canceled: self.canceled.saturating_sub(others.canceled),
        }
    }

    /// The status that follows from the counts.
    pub fn status(&self) -> Status {
        match self {
            _ if self.open == self.total => Status::Queued,
            _ if self.open > 0 => Status::Processing,
            _ if self.succeeded == self.total => Status::Succeeded,
            _ if self.succeeded > 0 => Status::PartiallyFailed,
            _ if self.failed > 0 => Status::Failed,
            _ if self.canceled > 0 => Status::Canceled,
            _ => Status::Expired,
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, others: Self) {
        self.total += others.total;
        self.open += others.open;
        self.succeeded += others.succeeded;
        self.failed += others.failed;
        self.expired += others.expired;
        self.canceled += others.canceled;
    }
}

impl Round {
    /// The first round of a request. It is due at `due_at` if its tasks have not been sent by then.
    pub fn first(request: &Request, due_at: Timestamp) -> Self {
        Self {
            key: RoundKey { request: request.id, round: 1 },
            replayed: None,
            complete: BTreeSet::new(),
            due_at: Some(due_at),
            opened_at: request.created_at,
            finished_at: None,
        }
    }

    /// Whether the round runs task `n`.
    pub fn runs(&self, n: u32) -> bool {
        self.replayed.as_ref().is_none_or(|replayed| replayed.contains(&n))
    }

    /// The packs of this round, with only the tasks that it runs.
    pub fn packs(&self, request: &Request) -> Vec<Pack> {
        let mut packs = request.packs();
        if let Some(replayed) = &self.replayed {
            for pack in &mut packs {
                pack.tasks.retain(|n| replayed.contains(n));
            }
            packs.retain(|pack| !pack.tasks.is_empty());
        }
        packs
    }

    /// Whether every pack of the round is complete.
    pub fn is_complete(&self, request: &Request) -> bool {
        self.packs(request).iter().all(|pack| self.complete.contains(&pack.index))
    }
}

impl PackRecord {
    /// Whether every task of `pack` has its outcome.
    pub fn is_complete(&self, pack: &Pack) -> bool {
        pack.tasks.iter().all(|n| self.outcomes.contains_key(n))
    }

    /// Counts the tasks of `pack` by state.
    pub fn counts(&self, pack: &Pack) -> Counts {
        Counts::of(pack.tasks.iter().map(|n| self.outcomes.get(n)))
    }

    /// Sets the outcomes that are absent, and returns the numbers of their tasks. A late duplicate
    /// never changes a recorded outcome.
    pub fn set_absent<'a>(
        &mut self,
        outcomes: impl IntoIterator<Item = &'a crate::TaskOutcome>,
    ) -> Vec<u32> {
        let mut set = Vec::new();
        for new in outcomes {
            self.outcomes.entry(new.n).or_insert_with(|| {
                set.push(new.n);
                new.outcome.clone()
            });
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Code, TaskOutcome};

    fn outcome(ending: Ending, at: i64) -> Outcome {
        let ended_at = Timestamp::from_second(at).unwrap();
        Outcome { ending, attempts: 1, timings: Default::default(), ended_at }
    }

    fn ending() -> impl Strategy<Value = Ending> {
        prop_oneof![
            Just(Ending::failed(Code::DecodeCorrupt, "cut off")),
            Just(Ending::Expired),
            Just(Ending::Canceled),
        ]
    }

    proptest! {
        #[test]
        fn the_first_outcome_stays(writes in prop::collection::vec((0_u32..5, ending(), 0_i64..100), 0..40)) {
            let mut record = PackRecord::default();
            let mut first = BTreeMap::new();
            for (n, ending, at) in writes {
                let outcome = outcome(ending, at);
                first.entry(n).or_insert_with(|| outcome.clone());
                record.set_absent(&[TaskOutcome { n, outcome }]);
            }
            prop_assert_eq!(record.outcomes, first);
        }

        #[test]
        fn counts_add_up_and_only_open_ones_are_not_terminal(
            endings in prop::collection::vec(prop::option::of(ending()), 1..30),
        ) {
            let outcomes: Vec<_> = endings.into_iter().map(|e| e.map(|e| outcome(e, 0))).collect();
            let counts = Counts::of(outcomes.iter().map(Option::as_ref));
            let sum = counts.open + counts.succeeded + counts.failed + counts.expired + counts.canceled;
            prop_assert_eq!(sum, counts.total);
            prop_assert_eq!(counts.status().is_terminal(), counts.open == 0);
        }
    }
}
