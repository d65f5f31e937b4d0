//! What is kept of a task whose attempts ran out, or of a message that nobody can read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Code, ModelName, RequestId, Sha256, TaskId};

/// Most faults kept of a task, the last ones: a task is seldom tried more often.
pub const MAX_FAULTS: usize = 5;
/// Longest message of a fault in bytes: a pack of twenty tasks, each with the longest address and
/// all its faults, must fit a message.
pub const MAX_FAULT_MESSAGE_BYTES: usize = 80;
/// The longest text of a body that is kept, in bytes.
pub const MAX_KEPT_BODY_BYTES: usize = 16 * 1024;

/// Kept to be inspected and replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `dead_<request>-<n>-<round>` of a task, `dead_<sha256>` of a message.
    pub id: String,
    /// What died.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
    /// The last error, one sentence.
    pub message: String,
    /// How often it was begun.
    pub attempts: u32,
    /// The faults of its attempts, the oldest first; at most [`MAX_FAULTS`], the last ones. An
    /// attempt that ended its process leaves none.
    #[serde(default)]
    pub history: Vec<Fault>,
    /// When it was put away.
    pub created_at: Timestamp,
    /// What became of it since.
    pub state: DeadLetterState,
}

/// An attempt at a task that ended in a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When it ended.
    pub at: Timestamp,
    /// What went wrong.
    pub code: Code,
    /// One safe sentence, cut to [`MAX_FAULT_MESSAGE_BYTES`].
    pub message: String,
}

/// What died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
pub enum Subject {
    /// A task, which has a failed outcome in `round`.
    Task {
        /// The task.
        task: TaskId,
        /// The round in which it failed.
        round: u32,
        /// The model.
        model: ModelName,
        /// Where the image is.
        image: String,
    },
    /// A message that nobody can read, as it was.
    Message {
        /// The queue it came from.
        queue: String,
        /// Its body, cut to [`MAX_KEPT_BODY_BYTES`].
        body: String,
    },
}

/// Why it is a dead letter.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// Each attempt ended the worker's process.
    WorkerCrashed,
    /// Each attempt ended in a transient fault.
    AttemptsExhausted,
    /// The body is not a message of ours.
    Unreadable,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeadLetterState {
    /// Nobody decided yet.
    Open,
    /// Its task runs again.
    Replayed {
        /// In this round.
        round: u32,
        /// Since then.
        at: Timestamp,
    },
    /// It was given up.
    Discarded {
        /// When.
        at: Timestamp,
    },
}

impl Reason {
    /// The code of the failed outcome beside the dead letter of a task.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::WorkerCrashed => Some(Code::WorkerCrashed),
            Self::AttemptsExhausted => Some(Code::AttemptsExhausted),
            Self::Unreadable => None,
        }
    }
}

impl Fault {
    /// A fault with its sentence, cut.
    pub fn new(at: Timestamp, code: Code, message: &str) -> Self {
        let end = message.floor_char_boundary(MAX_FAULT_MESSAGE_BYTES);
        Self { at, code, message: message[..end].to_owned() }
    }

    /// `earlier` faults and this one, the last [`MAX_FAULTS`] of them.
    pub fn after(self, earlier: &[Self]) -> Vec<Self> {
        let dropped = (earlier.len() + 1).saturating_sub(MAX_FAULTS);
        let mut faults = earlier[dropped.min(earlier.len())..].to_vec();
        faults.push(self);
        faults
    }
}

impl DeadLetter {
    /// The id of the dead letter of a task in a round.
    pub fn task_id(request: RequestId, n: u32, round: u32) -> String {
        format!("dead_{}-{n}-{round}", request.0.simple())
    }

    /// The dead letter of a message that nobody can read. The same body makes the same id.
    pub fn unreadable(queue: &str, body: &str, message: String, now: Timestamp) -> Self {
        let end = body.floor_char_boundary(MAX_KEPT_BODY_BYTES);
        Self {
            id: format!("dead_{}", Sha256::of(body.as_bytes())),
            subject: Subject::Message { queue: queue.to_owned(), body: body[..end].to_owned() },
            reason: Reason::Unreadable,
            message,
            attempts: 1,
            history: Vec::new(),
            created_at: now,
            state: DeadLetterState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_faults_are_kept_and_their_messages_are_cut() {
        let at = Timestamp::UNIX_EPOCH;
        let mut faults = Vec::new();
        for n in 0..MAX_FAULTS + 2 {
            faults = Fault::new(at, Code::FetchFailed, &n.to_string()).after(&faults);
        }
        let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        assert_eq!(messages, ["2", "3", "4", "5", "6"]);
        let long = Fault::new(at, Code::FetchFailed, &"ä".repeat(MAX_FAULT_MESSAGE_BYTES));
        assert_eq!(long.message.len(), MAX_FAULT_MESSAGE_BYTES);
        let odd = format!("a{}", long.message);
        assert_eq!(
            Fault::new(at, Code::FetchFailed, &odd).message.len(),
            MAX_FAULT_MESSAGE_BYTES - 1
        );
    }

    #[test]
    fn a_dead_letter_without_a_history_still_parses() {
        let letter =
            DeadLetter::unreadable("tasks", "{", "no JSON".to_owned(), Timestamp::UNIX_EPOCH);
        let mut old = serde_json::to_value(&letter).unwrap();
        old.as_object_mut().unwrap().remove("history").unwrap();
        assert_eq!(serde_json::from_value::<DeadLetter>(old).unwrap(), letter);
    }
}
