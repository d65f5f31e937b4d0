//! Dead letters: the records of tasks that failed for good, and of messages that cannot be handled.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Code, Fault, ModelName, QueueName, RequestId, Sha256, Subject, TaskId, ports::Delivery,
};

/// Most bytes of an unreadable body that are stored.
pub const MAX_KEPT_BODY_BYTES: usize = 16 * 1024;
/// Most characters of the name of the person who resolved a dead letter.
pub const MAX_BY_CHARS: usize = 100;

/// The record of a failed task or message, stored to be inspected and replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `dead_<32 hex digits>-<n>-<round>` for a task, `dead_<sha256>` for a message.
    pub id: String,
    /// The task or message that failed.
    #[serde(flatten)]
    pub subject: Subject,
    /// The reason.
    pub reason: Reason,
    /// The last error, in one sentence.
    pub message: String,
    /// The number of attempts at the task, or of receipts of the message.
    pub attempts: u32,
    /// The last faults, oldest first, at most [`MAX_FAULTS`](crate::MAX_FAULTS). An attempt that
    /// ended the process left none.
    #[serde(default)]
    pub history: Vec<Fault>,
    /// When it was dead-lettered.
    pub created_at: Timestamp,
    /// Whether it is open, replayed or discarded.
    pub state: DeadLetterState,
}

/// Why a task or message was dead-lettered.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// Each attempt ended the worker's process.
    WorkerCrashed,
    /// Each attempt ended with a transient fault.
    AttemptsExhausted,
    /// The task failed for good, and no request stores its outcome: it is a task of an upload
    /// event. The last fault of the history has the cause.
    Failed,
    /// The message was received too often without being acknowledged, and its queue moved it to the
    /// dead-letter queue.
    Crashed,
    /// The body cannot be decoded.
    Unreadable,
}

/// The state of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeadLetterState {
    /// Not resolved yet.
    Open,
    /// The task runs again, or the message was sent again.
    Replayed {
        /// The round in which the task runs again; always 1 for a message.
        round: u32,
        /// When it was replayed.
        at: Timestamp,
        /// Who replayed it: the id of a replay or the name of a person, cut to [`MAX_BY_CHARS`].
        #[serde(default)]
        by: String,
        /// For a task of an upload event that has ended: whether it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        succeeded: Option<bool>,
    },
    /// It was discarded.
    Discarded {
        /// When it was discarded.
        at: Timestamp,
        /// Who discarded it, cut to [`MAX_BY_CHARS`].
        #[serde(default)]
        by: String,
    },
}

impl Reason {
    /// The code that all dead letters of this reason share. (Earlier versions also used it in
    /// outcomes of tasks whose attempts ran out; now those have the code of the last fault.)
    pub fn code(self) -> Option<Code> {
        match self {
            Self::WorkerCrashed => Some(Code::WorkerCrashed),
            Self::AttemptsExhausted => Some(Code::AttemptsExhausted),
            Self::Failed | Self::Crashed | Self::Unreadable => None,
        }
    }
}

impl DeadLetter {
    /// The id of the dead letter of a task that failed in `round`.
    pub fn id_of(task: TaskId, round: u32) -> String {
        format!("dead_{}-{}-{round}", task.source.uuid().simple(), task.n)
    }

    /// The model of the task; `None` for a message without tasks.
    pub fn model(&self) -> Option<&ModelName> {
        match &self.subject {
            Subject::Task { model, .. } => Some(model),
            Subject::Message { model, .. } => model.as_ref(),
        }
    }

    /// Whether the dead letter belongs to a failed outcome with `code`. The codes must be equal; if
    /// the attempts ran out, `code` is that of the last fault.
    pub fn lies_beside(&self, code: Code) -> bool {
        let is_last = || self.history.last().is_some_and(|fault| fault.code == code);
        self.reason.code() == Some(code) || self.reason == Reason::AttemptsExhausted && is_last()
    }

    /// Whether it is not resolved yet.
    pub fn is_open(&self) -> bool {
        self.state == DeadLetterState::Open
    }

    /// Whether it belongs to an upload event whose task was sent again and has not ended yet. Such
    /// a task may be sent once more, in case the first send did not happen.
    pub fn awaits_end(&self) -> bool {
        let is_upload = matches!(&self.subject, Subject::Task { task, .. }
            if task.source.request().is_none());
        is_upload && matches!(self.state, DeadLetterState::Replayed { succeeded: None, .. })
    }

    /// When it was replayed or discarded. `None` while it is open or [awaits its
    /// end](Self::awaits_end).
    pub fn resolved_at(&self) -> Option<Timestamp> {
        match &self.state {
            DeadLetterState::Replayed { at, .. } | DeadLetterState::Discarded { at, .. } => {
                (!self.awaits_end()).then_some(*at)
            }
            DeadLetterState::Open => None,
        }
    }

    /// The request of the task; `None` for tasks of upload events and for messages.
    pub fn request(&self) -> Option<RequestId> {
        match &self.subject {
            Subject::Task { task, .. } => task.source.request(),
            Subject::Message { .. } => None,
        }
    }

    /// Records how the replayed task of an upload event ended in `round`. False if it does not run
    /// in that round, or its end was recorded before.
    pub fn note_ended(&mut self, round: u32, is_success: bool) -> bool {
        match &mut self.state {
            DeadLetterState::Replayed { round: replayed, succeeded: succeeded @ None, .. }
                if *replayed == round =>
            {
                *succeeded = Some(is_success);
                true
            }
            _ => false,
        }
    }

    /// The dead letter of a message that cannot be decoded. Equal bodies have the same id.
    pub fn unreadable(queue: &str, body: &str, message: String, now: Timestamp) -> Self {
        let end = body.floor_char_boundary(MAX_KEPT_BODY_BYTES);
        let subject =
            Subject::Message { queue: queue.to_owned(), model: None, body: body[..end].to_owned() };
        Self {
            id: format!("dead_{}", Sha256::of(body.as_bytes())),
            subject,
            reason: Reason::Unreadable,
            message,
            attempts: 1,
            history: Vec::new(),
            created_at: now,
            state: DeadLetterState::Open,
        }
    }

    /// The dead letter of a readable message that `queue` moved to its dead-letter queue. The body
    /// is stored whole, so that it can be sent again; if that message fails again, its dead letter
    /// has another id.
    pub fn crashed(
        queue: &QueueName,
        model: Option<ModelName>,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Self {
        let identity = format!("{queue} {} {}", delivery.sent_at, delivery.body);
        let (queue, body) = (queue.to_string(), delivery.body.clone());
        Self {
            id: format!("dead_{}", Sha256::of(identity.as_bytes())),
            subject: Subject::Message { queue, model, body },
            reason: Reason::Crashed,
            message: "the message was received again and again and never acknowledged".to_owned(),
            attempts: delivery.receive_count,
            history: Vec::new(),
            created_at: now,
            state: DeadLetterState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::ReceiptHandle;

    #[test]
    fn what_an_earlier_program_kept_still_parses() {
        let letter =
            DeadLetter::unreadable("tasks", "{", "no JSON".to_owned(), Timestamp::UNIX_EPOCH);
        let mut old = serde_json::to_value(&letter).unwrap();
        old.as_object_mut().unwrap().remove("history").unwrap();
        assert_eq!(serde_json::from_value::<DeadLetter>(old).unwrap(), letter);
        let old = r#"{"state": "replayed", "round": 2, "at": "1970-01-01T00:00:00Z"}"#;
        let at = Timestamp::UNIX_EPOCH;
        let new = DeadLetterState::Replayed { round: 2, at, by: String::new(), succeeded: None };
        assert_eq!(serde_json::from_str::<DeadLetterState>(old).unwrap(), new);
    }

    #[test]
    fn a_message_that_is_given_up_twice_leaves_two_dead_letters() {
        let (queue, now) = (crate::QueueNames::new("flota").outcomes(), Timestamp::UNIX_EPOCH);
        let delivery = |second| Delivery {
            receipt: ReceiptHandle("1".to_owned()),
            body: "{}".to_owned(),
            receive_count: 20,
            sent_at: Timestamp::from_second(second).unwrap(),
        };
        let id = |delivery| DeadLetter::crashed(&queue, None, &delivery, now).id;
        assert_eq!(id(delivery(1)), id(delivery(1)));
        assert_ne!(id(delivery(1)), id(delivery(2)));
    }
}
