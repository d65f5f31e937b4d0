use flota_core::{DeadLetter, DeadLetterState, Fault, Subject};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What is kept of a task whose attempts ran out, or of a message that died.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterView {
    /// `dead_…`.
    pub(crate) id: String,
    #[serde(flatten)]
    subject: SubjectView,
    /// `WORKER_CRASHED`, `ATTEMPTS_EXHAUSTED`, `FAILED`, `CRASHED` or `UNREADABLE`.
    reason: String,
    /// The last error.
    message: String,
    /// How often it was begun; of a message, how often it was received.
    attempts: u32,
    /// The last faults of its attempts, the oldest first: `at`, `code` and `message` of each.
    #[schema(value_type = Vec<Object>)]
    history: Vec<Fault>,
    /// When it was put away.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// `open`, `replayed` or `discarded`.
    state: &'static str,
    /// The round in which its task runs again; of a message that was sent again, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_round: Option<u32>,
    /// How the task of an upload event ended in that round, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_succeeded: Option<bool>,
    /// When that was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// Who decided: a replay's id, or what the caller said.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
}

/// What died.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "subject", rename_all = "snake_case")]
#[schema(as = DeadLetterSubject)]
enum SubjectView {
    /// A task of a request, which has a failed outcome in `round`.
    Task {
        /// The request.
        request: String,
        /// The task.
        task: String,
        /// The round in which it failed.
        round: u32,
        /// The model.
        model: String,
        /// Where the image is.
        image: String,
    },
    /// A task of an upload event: it has no request.
    Upload {
        /// The task.
        task: String,
        /// The round in which it failed: 1, and one more for each replay.
        round: u32,
        /// The model.
        model: String,
        /// Where the image is.
        image: String,
    },
    /// A message.
    Message {
        /// The queue it came from.
        queue: String,
        /// The model of its first task, where it holds tasks.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// Its body; of an unreadable one, at most 16 KiB.
        body: String,
    },
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let subject = match letter.subject {
            Subject::Task { task, round, model, image } => SubjectView::Task {
                request: task.request.to_string(),
                task: task.to_string(),
                round,
                model: model.to_string(),
                image,
            },
            Subject::Upload { task, round, model, image, .. } => SubjectView::Upload {
                task: task.to_string(),
                round,
                model: model.to_string(),
                image,
            },
            Subject::Message { queue, model, body } => {
                SubjectView::Message { queue, model: model.map(String::from), body }
            }
        };
        let mut view = Self {
            id: letter.id,
            subject,
            reason: letter.reason.to_string(),
            message: letter.message,
            attempts: letter.attempts,
            history: letter.history,
            created_at: letter.created_at,
            state: "open",
            replay_round: None,
            replay_succeeded: None,
            decided_at: None,
            decided_by: None,
        };
        let (state, at, by) = match letter.state {
            DeadLetterState::Open => return view,
            DeadLetterState::Replayed { round, at, by, succeeded } => {
                view.replay_round = Some(round);
                view.replay_succeeded = succeeded;
                ("replayed", at, by)
            }
            DeadLetterState::Discarded { at, by } => ("discarded", at, by),
        };
        let (decided_at, decided_by) = (Some(at), Some(by).filter(|by| !by.is_empty()));
        Self { state, decided_at, decided_by, ..view }
    }
}
