//! What is kept of a task whose attempts ran out, or of a message that died.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Code, Fault, ModelName, QueueName, RequestId, Sha256, Subject, TaskId, ports::Delivery,
};

/// The longest text that is kept of a body that nobody can read, in bytes.
pub const MAX_KEPT_BODY_BYTES: usize = 16 * 1024;
/// Longest name of who decided about a dead letter, in characters.
pub const MAX_BY_CHARS: usize = 100;

/// Kept to be inspected and replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `dead_<32 hex digits>-<n>-<round>` of a task, `dead_<sha256>` of a message.
    pub id: String,
    /// What died.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
    /// The last error, one sentence.
    pub message: String,
    /// How often it was begun; of a message, how often it was received.
    pub attempts: u32,
    /// The faults of its attempts, the oldest first; at most [`MAX_FAULTS`](crate::MAX_FAULTS),
    /// the last ones. An attempt that ended its process leaves none.
    #[serde(default)]
    pub history: Vec<Fault>,
    /// When it was dead-lettered.
    pub created_at: Timestamp,
    /// What became of it since.
    pub state: DeadLetterState,
}

/// Why it is a dead letter.
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
    /// Each attempt ended in a transient fault.
    AttemptsExhausted,
    /// It failed for good, and no request keeps its outcome: it is a task of an upload event, and
    /// the last fault of its history says why.
    Failed,
    /// The message was received again and again and never acknowledged, so that its queue gave it up.
    Crashed,
    /// The body is not a message of ours.
    Unreadable,
}

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeadLetterState {
    /// Nobody decided yet.
    Open,
    /// Its task runs again, or its message was sent again.
    Replayed {
        /// In this round; of a message, always 1.
        round: u32,
        /// Since then.
        at: Timestamp,
        /// Who wanted it: the id of a replay, or a person, cut to [`MAX_BY_CHARS`].
        #[serde(default)]
        by: String,
        /// How the task of an upload event ended in that round, once it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        succeeded: Option<bool>,
    },
    /// It was given up.
    Discarded {
        /// When.
        at: Timestamp,
        /// Who did it, cut to [`MAX_BY_CHARS`].
        #[serde(default)]
        by: String,
    },
}

impl Reason {
    /// The code that every dead letter of this reason has. Outcomes beside exhausted attempts had it in
    /// earlier versions, and have the code of the last fault since.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::WorkerCrashed => Some(Code::WorkerCrashed),
            Self::AttemptsExhausted => Some(Code::AttemptsExhausted),
            Self::Failed | Self::Crashed | Self::Unreadable => None,
        }
    }
}

impl DeadLetter {
    /// The id of the dead letter of a task in a round.
    pub fn id_of(task: TaskId, round: u32) -> String {
        format!("dead_{}-{}-{round}", task.source.uuid().simple(), task.n)
    }

    /// The model that was to look at the image; none of a message that holds no task.
    pub fn model(&self) -> Option<&ModelName> {
        match &self.subject {
            Subject::Task { model, .. } => Some(model),
            Subject::Message { model, .. } => model.as_ref(),
        }
    }

    /// Whether it may lie beside a failed outcome with `code`: that of its reason, or, where its attempts
    /// ran out, that of its last fault.
    pub fn lies_beside(&self, code: Code) -> bool {
        let is_last = || self.history.last().is_some_and(|fault| fault.code == code);
        self.reason.code() == Some(code) || self.reason == Reason::AttemptsExhausted && is_last()
    }

    /// Whether nobody decided about it yet.
    pub fn is_open(&self) -> bool {
        self.state == DeadLetterState::Open
    }

    /// Whether it is of an upload event whose task was sent again and has not ended. Should it not
    /// have been sent after all, it may be sent once more.
    pub fn awaits_end(&self) -> bool {
        let is_upload = matches!(&self.subject, Subject::Task { task, .. }
            if task.source.request().is_none());
        is_upload && matches!(self.state, DeadLetterState::Replayed { succeeded: None, .. })
    }

    /// When it was replayed or discarded; `None` while it is open or [awaits its end](Self::awaits_end).
    pub fn resolved_at(&self) -> Option<Timestamp> {
        match &self.state {
            DeadLetterState::Replayed { at, .. } | DeadLetterState::Discarded { at, .. } => {
                (!self.awaits_end()).then_some(*at)
            }
            DeadLetterState::Open => None,
        }
    }

    /// The request of its task, where it has one.
    pub fn request(&self) -> Option<RequestId> {
        match &self.subject {
            Subject::Task { task, .. } => task.source.request(),
            Subject::Message { .. } => None,
        }
    }

    /// Notes how the task of an upload event ended in `round`. False where it does not run again
    /// in that round, or that was noted before.
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

    /// The dead letter of a message that nobody can read. The same body makes the same id.
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

    /// The dead letter of a message of `queue` that can be read and that the queue gave up. Its
    /// body is kept whole, to be sent again; what is sent again and given up again has another id.
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
