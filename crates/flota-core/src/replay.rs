//! Running the tasks of many dead letters again: a few first, and no further where they fail again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{DeadLetterSelection, ModelName, ModelVersion, ReplayId};

/// So many dead letters' tasks may run and not be evaluated yet, and those of one request more: the queue is not
/// flooded, and the record of a replay stays within some ten kilobytes.
pub const MAX_IN_FLIGHT: usize = 100;

/// A replay of dead letters of one model, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// The model.
    pub model: ModelName,
    /// What is to be done.
    pub plan: ReplayPlan,
    /// Who wanted it, cut to [`MAX_BY_CHARS`](crate::MAX_BY_CHARS).
    pub by: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: ReplayState,
    /// How far it is.
    pub progress: ReplayProgress,
    /// Until when it is one server's; then another goes on with it.
    pub claimed_until: Timestamp,
    /// How often it was written.
    pub revision: u64,
}

/// What a replay is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayPlan {
    /// Which dead letters. They are of its model and were dead-lettered before it was started, so that
    /// it never replays what it made itself.
    pub selection: DeadLetterSelection,
    /// At most so many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// At most so many in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// The version of the model that is to run: the replay stops where it is not the current one,
    /// and what another version did counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_version: Option<ModelVersion>,
    /// So many are evaluated before the others are begun.
    pub canary_count: u32,
    /// Where more of a hundred fail again, it stops.
    pub max_failed_percent: u32,
}

/// Where a replay stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReplayState {
    /// It goes on.
    Running,
    /// Every dead letter was dealt with.
    Completed {
        /// When.
        at: Timestamp,
    },
    /// It ended early. What it had begun goes on.
    Stopped {
        /// When.
        at: Timestamp,
        /// Why.
        why: StopReason,
        /// Who stopped it, where somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

/// Why a replay ended early.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum StopReason {
    /// Too many failed again.
    TooManyFailed,
    /// The wanted version is not the current one.
    VersionNotCurrent,
    /// Somebody stopped it.
    ByHand,
}

/// How far a replay is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// The last dead letter that was taken from the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the list came to its end.
    pub is_listed: bool,
    /// What was taken and is not evaluated; written before anything is sent, so that another server that continues
    /// knows what to look for. At most [`MAX_IN_FLIGHT`] and those of a request.
    #[serde(rename = "in_hand")]
    pub in_flight: Vec<InFlight>,
    /// How many succeeded.
    pub succeeded_count: u32,
    /// How many failed again.
    pub failed_count: u32,
    /// How many were sent again and cannot be evaluated: messages.
    pub resent_count: u32,
    /// How many were left as they are: somebody else decided, or the request is gone or runs still.
    pub skipped_count: u32,
}

/// A dead letter that was taken and is not evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its id.
    pub letter: String,
    /// When it was taken.
    pub since: Timestamp,
}

/// What came of one dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Its task succeeded.
    Succeeded,
    /// Its task failed again.
    Failed,
    /// It was sent again and cannot be evaluated.
    Resent,
    /// It was left as it is.
    Skipped,
}

impl Replay {
    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        self.state == ReplayState::Running
    }

    /// How many more dead letters may be taken now: the canary's first, the others once it is evaluated. Those
    /// of one request are taken together, even if that is more.
    pub fn room(&self) -> usize {
        let in_flight = self.progress.in_flight.len();
        let canary = self.plan.canary_count.saturating_sub(self.progress.evaluated_count());
        let window = if canary > 0 { MAX_IN_FLIGHT.min(canary as usize) } else { MAX_IN_FLIGHT };
        window.saturating_sub(in_flight).min(self.left())
    }

    /// Whether nothing is left to be taken.
    pub fn is_exhausted(&self) -> bool {
        self.progress.is_listed || self.left() == 0
    }

    /// How many more the limit allows; what was skipped does not count.
    pub fn left(&self) -> usize {
        let progress = &self.progress;
        let begun = (progress.evaluated_count() + progress.resent_count) as usize;
        let limit = self.plan.limit.map_or(usize::MAX, |limit| limit as usize);
        limit.saturating_sub(begun + progress.in_flight.len())
    }

    /// Whether more failed again than the plan allows, once the canary is evaluated.
    pub fn has_failed_too_often(&self) -> bool {
        let evaluated = self.progress.evaluated_count().max(self.plan.canary_count);
        let allowed = u64::from(evaluated) * u64::from(self.plan.max_failed_percent);
        u64::from(self.progress.failed_count) * 100 > allowed
    }

    /// Counts what came of a dead letter in flight.
    pub fn evaluate(&mut self, letter: &str, evaluation: Evaluation) {
        let progress = &mut self.progress;
        let before = progress.in_flight.len();
        progress.in_flight.retain(|in_flight| in_flight.letter != letter);
        if progress.in_flight.len() == before {
            return;
        }
        match evaluation {
            Evaluation::Succeeded => progress.succeeded_count += 1,
            Evaluation::Failed => progress.failed_count += 1,
            Evaluation::Resent => progress.resent_count += 1,
            Evaluation::Skipped => progress.skipped_count += 1,
        }
    }

    /// Takes dead letters in flight.
    pub fn take(&mut self, letters: impl IntoIterator<Item = String>, now: Timestamp) {
        let in_flight = letters.into_iter().map(|letter| InFlight { letter, since: now });
        self.progress.in_flight.extend(in_flight);
    }
}

impl ReplayProgress {
    /// How many succeeded or failed again.
    pub fn evaluated_count(&self) -> u32 {
        self.succeeded_count + self.failed_count
    }
}

impl InFlight {
    /// How long ago it was taken.
    pub fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.since)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn replay(limit: Option<u32>) -> Replay {
        let now = Timestamp::UNIX_EPOCH;
        Replay {
            id: ReplayId(Uuid::from_u128(1)),
            model: "cat".parse().unwrap(),
            plan: ReplayPlan {
                selection: DeadLetterSelection::default(),
                limit,
                rate_per_second: None,
                to_version: None,
                canary_count: 10,
                max_failed_percent: 20,
            },
            by: "ann".to_owned(),
            created_at: now,
            state: ReplayState::Running,
            progress: ReplayProgress::default(),
            claimed_until: now,
            revision: 0,
        }
    }

    /// Takes so many and evaluates them alike.
    fn pass(replay: &mut Replay, count: usize, evaluation: Evaluation) {
        let names: Vec<String> = (0..count).map(|n| format!("dead_{n}")).collect();
        replay.take(names.clone(), Timestamp::UNIX_EPOCH);
        names.iter().for_each(|name| replay.evaluate(name, evaluation));
    }

    #[test]
    fn the_others_wait_until_the_canary_is_judged() {
        let mut replay = replay(None);
        assert_eq!(replay.room(), 10);
        pass(&mut replay, 4, Evaluation::Skipped);
        assert_eq!(replay.room(), 10, "what was skipped proves nothing");
        pass(&mut replay, 9, Evaluation::Succeeded);
        assert_eq!(replay.room(), 1);
        replay.take(["dead_last".to_owned()], Timestamp::UNIX_EPOCH);
        assert_eq!(replay.room(), 0);
        replay.evaluate("dead_last", Evaluation::Failed);
        assert_eq!(replay.room(), MAX_IN_FLIGHT);
        replay.evaluate("dead_last", Evaluation::Failed);
        assert_eq!(replay.progress.failed_count, 1, "each is evaluated once");
        assert!(!replay.is_exhausted());
    }

    #[test]
    fn no_more_than_the_limit_are_taken() {
        let mut replay = replay(Some(12));
        pass(&mut replay, 10, Evaluation::Succeeded);
        pass(&mut replay, 5, Evaluation::Skipped);
        assert_eq!((replay.room(), replay.is_exhausted()), (2, false));
        replay.take(["dead_a".to_owned(), "dead_b".to_owned()], Timestamp::UNIX_EPOCH);
        assert_eq!((replay.room(), replay.is_exhausted()), (0, true));
    }

    #[test]
    fn it_stops_when_more_than_a_fifth_fail_again() {
        let mut canary = replay(None);
        pass(&mut canary, 2, Evaluation::Failed);
        assert!(!canary.has_failed_too_often(), "two of ten are a fifth, not more");
        pass(&mut canary, 1, Evaluation::Failed);
        assert!(canary.has_failed_too_often());

        let mut later = replay(None);
        pass(&mut later, 85, Evaluation::Succeeded);
        pass(&mut later, 21, Evaluation::Failed);
        assert!(!later.has_failed_too_often());
        pass(&mut later, 1, Evaluation::Failed);
        assert!(later.has_failed_too_often());
    }
}
