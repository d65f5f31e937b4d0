//! A request's rounds: how far they are, and what they add up to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Ending, Outcome, Pack, Request, RequestId};

/// Names a round: the request and 1 for its submission, one more for each replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoundKey {
    /// The request.
    pub request: RequestId,
    /// Counted from 1.
    pub round: u32,
}

/// Names a pack's record in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackKey {
    /// The round.
    pub round: RoundKey,
    /// The pack's index in the request.
    pub pack: u32,
}

/// The small record of how far a round is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Which round of which request.
    pub key: RoundKey,
    /// The tasks that a replay runs again; all of the request's in round 1, where it is `None`.
    pub replayed: Option<BTreeSet<u32>>,
    /// The packs that are complete. Adding one twice changes nothing.
    pub complete: BTreeSet<u32>,
    /// When the sweeper looks at it next; `None` once it is finished.
    pub due_at: Option<Timestamp>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When its last task ended.
    pub finished_at: Option<Timestamp>,
}

/// The outcomes of a pack in a round; each is set once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackRecord {
    /// By the task's number.
    pub outcomes: BTreeMap<u32, Outcome>,
    /// The last copy of the pack's open tasks, where the sweeper sent any.
    pub resent: Option<Resend>,
}

/// A copy of a pack's open tasks that the sweeper sent. A message with a lower number is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend {
    /// Counted from 1; what was sent first is number 0.
    pub copy: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// How many tasks stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: u32,
    /// Without an outcome.
    pub open: u32,
    /// With a prediction.
    pub succeeded: u32,
    /// With a code.
    pub failed: u32,
    /// Past their deadline.
    pub expired: u32,
    /// Taken back.
    pub canceled: u32,
}

/// Where a request stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// No task has ended yet.
    Queued,
    /// Some have.
    Processing,
    /// All succeeded.
    Succeeded,
    /// Some succeeded.
    PartiallyFailed,
    /// None succeeded, and one failed.
    Failed,
    /// None succeeded or failed, and one was canceled.
    Canceled,
    /// All expired.
    Expired,
}

impl Status {
    /// Whether it will stay so until a replay.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }
}

impl Counts {
    /// Counts `outcomes`, where `None` is a task that has not ended.
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

    /// So many tasks of which none has ended.
    pub fn all_open(total: u32) -> Self {
        Self { total, open: total, ..Self::default() }
    }

    /// How many have ended.
    pub fn ended(&self) -> u32 {
        self.succeeded + self.failed + self.expired + self.canceled
    }

    /// These without `others`, which are among them.
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

    /// What they add up to.
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
    /// The first round of a request, due at `due_at` should its tasks not have been sent by then.
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

    /// Whether it runs task `n`.
    pub fn runs(&self, n: u32) -> bool {
        self.replayed.as_ref().is_none_or(|replayed| replayed.contains(&n))
    }

    /// The packs of `request` that this round runs, with only the tasks that it runs.
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

    /// How many tasks of `pack` stand where.
    pub fn counts(&self, pack: &Pack) -> Counts {
        Counts::of(pack.tasks.iter().map(|n| self.outcomes.get(n)))
    }

    /// Sets each outcome that is absent and returns the numbers of those that it set: a late
    /// duplicate never changes what was recorded.
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
