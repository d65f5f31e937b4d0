use flota_core::{DeadLetter, DeadLetterState, Fault, Subject, TaskSource};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::schemas;

/// What is kept of a task whose attempts ran out, or of a message that died; `subject` says which.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = DeadLetter, discriminator(
    property_name = "subject",
    mapping(
        ("task" = "#/components/schemas/TaskDeadLetter"),
        ("upload" = "#/components/schemas/UploadDeadLetter"),
        ("message" = "#/components/schemas/MessageDeadLetter"),
    )
))]
pub(crate) enum DeadLetterView {
    Task(TaskDeadLetter),
    Upload(UploadDeadLetter),
    Message(MessageDeadLetter),
}

/// What is said of every dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterFacts {
    /// `dead_…`.
    id: String,
    /// `WORKER_CRASHED`, `ATTEMPTS_EXHAUSTED`, `FAILED`, `CRASHED` or `UNREADABLE`.
    reason: String,
    /// The last error.
    message: String,
    /// How often it was begun; of a message, how often it was received.
    attempts: u32,
    /// The last faults of its attempts, the oldest first.
    #[schema(value_type = Vec<schemas::Fault>)]
    history: Vec<Fault>,
    /// When it was dead-lettered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Where it stands.
    state: DeadLetterStateView,
    /// The round in which its task runs again; of a message that was sent again, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replay_round: Option<u32>,
    /// How the task of an upload event ended in that round, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replay_succeeded: Option<bool>,
    /// When it was replayed or discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    resolved_at: Option<Timestamp>,
    /// Who did: a replay's id, or what the caller said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resolved_by: Option<String>,
    /// In a dry run: what keeps it from running now, if anything, as the code of the problem that a call
    /// for this letter alone would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeadLetterState)]
enum DeadLetterStateView {
    Open,
    Replayed,
    Discarded,
}

/// A task of a request, which has a failed outcome in `round`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskDeadLetter {
    #[serde(flatten)]
    facts: DeadLetterFacts,
    subject: TaskSubject,
    /// The request.
    request: String,
    /// The task.
    task: String,
    /// The round in which it failed.
    round: u32,
    /// The model.
    model: String,
    /// The image's URL.
    image: String,
}

/// A task of an upload event: it has no request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadDeadLetter {
    #[serde(flatten)]
    facts: DeadLetterFacts,
    subject: UploadSubject,
    /// The task.
    task: String,
    /// The round in which it failed: 1, and one more for each replay.
    round: u32,
    /// The model.
    model: String,
    /// The image's URL.
    image: String,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageDeadLetter {
    #[serde(flatten)]
    facts: DeadLetterFacts,
    subject: MessageSubject,
    /// The queue it came from.
    queue: String,
    /// The model of its first task, where it holds tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model: Option<String>,
    /// Its body; of an unreadable one, at most 16 KiB.
    body: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TaskSubject {
    Task,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UploadSubject {
    Upload,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MessageSubject {
    Message,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self::new(letter, None)
    }
}

impl DeadLetterView {
    /// A dead letter, and what keeps it from being replayed.
    pub(crate) fn new(letter: DeadLetter, refusal: Option<&'static str>) -> Self {
        let mut facts = DeadLetterFacts {
            id: letter.id,
            reason: letter.reason.to_string(),
            message: letter.message,
            attempts: letter.attempts,
            history: letter.history,
            created_at: letter.created_at,
            state: DeadLetterStateView::Open,
            replay_round: None,
            replay_succeeded: None,
            resolved_at: None,
            resolved_by: None,
            refusal,
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
                    model: model.to_string(),
                    image,
                }),
                TaskSource::Upload(_) => Self::Upload(UploadDeadLetter {
                    facts,
                    subject: UploadSubject::Upload,
                    task: task.to_string(),
                    round,
                    model: model.to_string(),
                    image,
                }),
            },
            Subject::Message { queue, model, body } => Self::Message(MessageDeadLetter {
                facts,
                subject: MessageSubject::Message,
                queue,
                model: model.map(String::from),
                body,
            }),
        }
    }
}
