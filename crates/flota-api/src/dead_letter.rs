//! Dead letters, one by one and counted.

use flota_core::{DeadLetter, DeadLetterState, Fault, ModelName, Reason, Subject, TaskSource};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::schemas;
use crate::{ProblemCode, Word};

/// What is kept of a task whose attempts ran out, or of a message that died; `subject` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeadLetter, discriminator(
    property_name = "subject",
    mapping(
        ("task" = "#/components/schemas/TaskDeadLetter"),
        ("upload" = "#/components/schemas/UploadDeadLetter"),
        ("message" = "#/components/schemas/MessageDeadLetter"),
    )
)))]
#[serde(untagged)]
#[allow(missing_docs, reason = "each has the type of its name")]
pub enum DeadLetterView {
    Task(TaskDeadLetter),
    Upload(UploadDeadLetter),
    Message(MessageDeadLetter),
}

/// What is said of every dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterFacts {
    /// `dead_…`.
    pub id: String,
    /// Why.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Reason))]
    pub reason: Word<Reason>,
    /// The last error.
    pub message: String,
    /// How often it was begun; of a message, how often it was received.
    pub attempts: u32,
    /// The last faults of its attempts, the oldest first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schemas::Fault>))]
    pub history: Vec<Fault>,
    /// When it was dead-lettered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: DeadLetterStateView,
    /// The round in which its task runs again; of a message that was sent again, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub replay_round: Option<u32>,
    /// How the task of an upload event ended in that round, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub replay_succeeded: Option<bool>,
    /// When it was replayed or discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, nullable = false)
    )]
    pub resolved_at: Option<Timestamp>,
    /// Who did: a replay's id, or what the caller said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub resolved_by: Option<String>,
    /// In a dry run: what keeps it from running now, if anything, as the code of the problem that a call
    /// for this letter alone would get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schemas::ProblemCode>, nullable = false))]
    pub refusal: Option<Word<ProblemCode>>,
}

/// Whether somebody decided about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeadLetterState))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeadLetterStateView {
    /// Nobody did.
    Open,
    /// Its task runs again, or its message was sent again.
    Replayed,
    /// It was given up.
    Discarded,
}

/// A task of a request, which has a failed outcome in `round`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskDeadLetter {
    /// What every dead letter has.
    #[serde(flatten)]
    pub facts: DeadLetterFacts,
    /// Tells it from the other dead letters.
    pub subject: TaskSubject,
    /// The request.
    pub request: String,
    /// The task.
    pub task: String,
    /// The round in which it failed.
    pub round: u32,
    /// The model.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: ModelName,
    /// The image's URL.
    pub image: String,
}

/// A task of an upload event: it has no request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadDeadLetter {
    /// What every dead letter has.
    #[serde(flatten)]
    pub facts: DeadLetterFacts,
    /// Tells it from the other dead letters.
    pub subject: UploadSubject,
    /// The task.
    pub task: String,
    /// The round in which it failed: 1, and one more for each replay.
    pub round: u32,
    /// The model.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: ModelName,
    /// The image's URL.
    pub image: String,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageDeadLetter {
    /// What every dead letter has.
    #[serde(flatten)]
    pub facts: DeadLetterFacts,
    /// Tells it from the other dead letters.
    pub subject: MessageSubject,
    /// The queue it came from.
    pub queue: String,
    /// The model of its first task, where it holds tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub model: Option<ModelName>,
    /// Its body; of an unreadable one, at most 16 KiB.
    pub body: String,
}

/// The `subject` of a task of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "it has one value")]
pub enum TaskSubject {
    Task,
}

/// The `subject` of a task of an upload event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "it has one value")]
pub enum UploadSubject {
    Upload,
}

/// The `subject` of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "it has one value")]
pub enum MessageSubject {
    Message,
}

/// A page of dead letters, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterPage {
    /// Fewer than asked for, even none, where many had to be looked at.
    pub dead_letters: Vec<DeadLetterView>,
    /// There may be more: ask for those `?after=` this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next_after: Option<String>,
}

/// How many dead letters there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterGroups {
    /// By model and reason, the largest group first.
    pub groups: Vec<DeadLetterGroup>,
    /// How many there are.
    pub count: u64,
    /// False where there are more than were counted.
    pub complete: bool,
}

/// Dead letters of one model and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterGroup {
    /// The model; absent of messages that hold no task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub model: Option<ModelName>,
    /// The reason.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Reason))]
    pub reason: Word<Reason>,
    /// How many.
    pub count: u64,
    /// When the first of them was dead-lettered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub oldest_at: Timestamp,
    /// When the last of them was dead-lettered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub newest_at: Timestamp,
    /// The last error of the last of them.
    pub message: String,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self::new(letter, None)
    }
}

impl DeadLetterView {
    /// A dead letter, and what keeps it from being replayed.
    pub fn new(letter: DeadLetter, refusal: Option<ProblemCode>) -> Self {
        let mut facts = DeadLetterFacts {
            id: letter.id,
            reason: letter.reason.into(),
            message: letter.message,
            attempts: letter.attempts,
            history: letter.history,
            created_at: letter.created_at,
            state: DeadLetterStateView::Open,
            replay_round: None,
            replay_succeeded: None,
            resolved_at: None,
            resolved_by: None,
            refusal: refusal.map(Word::from),
        };
        let decided = match letter.state {
            DeadLetterState::Open => None,
            DeadLetterState::Replayed { round, at, by, succeeded } => {
                facts.replay_round = Some(round);
                facts.replay_succeeded = succeeded;
                Some((DeadLetterStateView::Replayed, at, by))
            }
            DeadLetterState::Discarded { at, by } => Some((DeadLetterStateView::Discarded, at, by)),
        };
        if let Some((state, at, by)) = decided {
            facts.state = state;
            facts.resolved_at = Some(at);
            facts.resolved_by = Some(by).filter(|by| !by.is_empty());
        }
        match letter.subject {
            Subject::Task { task, round, model, image, .. } => match task.source {
                TaskSource::Request(request) => Self::Task(TaskDeadLetter {
                    facts,
                    subject: TaskSubject::Task,
                    request: request.to_string(),
                    task: task.to_string(),
                    round,
                    model,
                    image,
                }),
                TaskSource::Upload(_) => Self::Upload(UploadDeadLetter {
                    facts,
                    subject: UploadSubject::Upload,
                    task: task.to_string(),
                    round,
                    model,
                    image,
                }),
            },
            Subject::Message { queue, model, body } => Self::Message(MessageDeadLetter {
                facts,
                subject: MessageSubject::Message,
                queue,
                model,
                body,
            }),
        }
    }

    /// What every dead letter has.
    pub fn facts(&self) -> &DeadLetterFacts {
        match self {
            Self::Task(TaskDeadLetter { facts, .. })
            | Self::Upload(UploadDeadLetter { facts, .. })
            | Self::Message(MessageDeadLetter { facts, .. }) => facts,
        }
    }
}
