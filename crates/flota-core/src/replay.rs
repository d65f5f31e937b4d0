//! Replays of many dead letters: a few first, and the others only if those do well.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{DeadLetterSelection, ModelName, ModelVersion, ReplayId};

/// Most dead letters whose tasks may run at once, plus those of one request. So a replay does not
/// flood the queue, and its record stays within some ten kilobytes.
pub const MAX_IN_FLIGHT: usize = 100;

/// A replay of dead letters of one model, and its results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// The model.
    pub model: ModelName,
    /// What to replay, and how.
    pub plan: ReplayPlan,
    /// Who started it, cut to [`MAX_BY_CHARS`](crate::MAX_BY_CHARS).
    pub by: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// Whether it runs, has completed or was stopped.
    pub state: ReplayState,
    /// Its progress.
    pub progress: ReplayProgress,
    /// When the claim of the server that runs it ends. Then another server may claim it.
    pub claimed_until: Timestamp,
    /// The number of writes of this record, for optimistic locking.
    pub revision: u64,
}

/// What a replay does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayPlan {
    /// The dead letters. They are of the replay's model, and older than the replay, so that it
    /// never replays its own.
    pub selection: DeadLetterSelection,
    /// Most dead letters to replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Most dead letters per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// The version of the model that must run. The replay stops if it is not the current one;
    /// results of other versions count as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_version: Option<ModelVersion>,
    /// The number of dead letters that are replayed and evaluated before the others.
    pub canary_count: u32,
    /// The replay stops if a higher percentage fails again.
    pub max_failed_percent: u32,
}

/// The state of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReplayState {
    /// It runs.
    Running,
    /// All dead letters were replayed or skipped.
    Completed {
        /// When it completed.
        at: Timestamp,
    },
    /// It stopped early. Tasks that were sent still run.
    Stopped {
        /// When it stopped.
        at: Timestamp,
        /// The reason.
        why: StopReason,
        /// Who stopped it; `None` if it stopped by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

/// Why a replay stopped early.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum StopReason {
    /// More than the allowed percentage failed again.
    TooManyFailed,
    /// The required version is not the current one.
    VersionNotCurrent,
    /// A person stopped it.
    ByHand,
}

/// The progress of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// The last dead letter that was read from the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the whole list was read.
    pub is_listed: bool,
    /// Dead letters that are being replayed and not evaluated yet. They are stored before their
    /// tasks are sent, so that another server can continue. At most [`MAX_IN_FLIGHT`], and those of
    /// one request.
    #[serde(rename = "in_hand")]
    pub in_flight: Vec<InFlight>,
    /// The number of tasks that succeeded.
    pub succeeded_count: u32,
    /// The number of tasks that failed again.
    pub failed_count: u32,
    /// The number of messages that were sent again, which cannot be evaluated.
    pub resent_count: u32,
    /// The number of dead letters that were skipped: resolved by somebody else, or the request is
    /// gone or still running.
    pub skipped_count: u32,
}

/// A dead letter that is being replayed and not evaluated yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its id.
    pub letter: String,
    /// When the replay began with it.
    pub since: Timestamp,
}

/// The result of one replayed dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Its task succeeded.
    Succeeded,
    /// Its task failed again.
    Failed,
    /// Its message was sent again, which cannot be evaluated.
    Resent,
    /// It was skipped.
    Skipped,
}

impl Replay {
    /// Whether the replay runs.
    pub fn is_running(&self) -> bool {
        self.state == ReplayState::Running
    }

    /// How many more dead letters may be replayed now: those of the canary first, the others once
    /// it is evaluated. Dead letters of one request are taken together, even if that is more.
    pub fn room(&self) -> usize {
        let in_flight = self.progress.in_flight.len();
        let canary = self.plan.canary_count.saturating_sub(self.progress.evaluated_count());
        let window = if canary > 0 { MAX_IN_FLIGHT.min(canary as usize) } else { MAX_IN_FLIGHT };
        window.saturating_sub(in_flight).min(self.left())
    }

    /// Whether no more dead letters are to be taken.
    pub fn is_exhausted(&self) -> bool {
        self.progress.is_listed || self.left() == 0
    }

    /// How many more the limit allows. Skipped ones do not count.
    pub fn left(&self) -> usize {
        let progress = &self.progress;
        let begun = (progress.evaluated_count() + progress.resent_count) as usize;
        let limit = self.plan.limit.map_or(usize::MAX, |limit| limit as usize);
        limit.saturating_sub(begun + progress.in_flight.len())
    }

    /// Whether a higher percentage failed again than the plan allows. False until the canary is
    /// evaluated.
    pub fn has_failed_too_often(&self) -> bool {
        let evaluated = self.progress.evaluated_count().max(self.plan.canary_count);
        let allowed = u64::from(evaluated) * u64::from(self.plan.max_failed_percent);
        u64::from(self.progress.failed_count) * 100 > allowed
    }

    /// Counts the result of a dead letter in flight.
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

    /// Adds dead letters to those in flight.
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
    /// The time since the replay began with it.
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

    /// Takes `count` dead letters, all with the same evaluation.
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
