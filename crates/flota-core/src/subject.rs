//! The task or message that a dead letter is about.

use serde::{Deserialize, Serialize};

use crate::{ClientName, IdError, ModelName, Priority, TaskId, TaskSource};

/// The task or message that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredSubject", into = "StoredSubject")]
pub enum Subject {
    /// A task. If a request made it, the request also has a failed outcome in `round`; if upload
    /// events made it, the dead letter is its only record.
    Task {
        /// The id of the task.
        task: TaskId,
        /// The round in which the task failed. For upload events: 1, and one more for each replay.
        round: u32,
        /// The model.
        model: ModelName,
        /// The URL of the image.
        image: String,
        /// The client that the task ran for.
        client: ClientName,
        /// The priority of the task.
        priority: Priority,
    },
    /// A message.
    Message {
        /// The name of the queue.
        queue: String,
        /// The model of its first task; `None` if the message holds no tasks.
        model: Option<ModelName>,
        /// The body: whole if it [`Reason::Crashed`](crate::Reason::Crashed), else cut to
        /// [`MAX_KEPT_BODY_BYTES`](crate::MAX_KEPT_BODY_BYTES).
        body: String,
    },
}

/// The stored form of a [`Subject`]. Ids of tasks look the same for both sources, so the tag tells
/// them apart.
#[derive(Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
enum StoredSubject {
    /// A task of a request.
    Task(StoredTask),
    /// A task of upload events.
    Upload(StoredTask),
    Message {
        queue: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelName>,
        body: String,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredTask {
    task: String,
    round: u32,
    model: ModelName,
    image: String,
    /// Earlier versions omitted it for tasks of a request, because the request has it.
    #[serde(default)]
    client: ClientName,
    #[serde(default, rename = "lane")]
    priority: Priority,
}

impl TryFrom<StoredSubject> for Subject {
    type Error = IdError;

    fn try_from(stored: StoredSubject) -> Result<Self, IdError> {
        let (id, stored) = match stored {
            StoredSubject::Task(stored) => (TaskId::parse_of_request(&stored.task)?, stored),
            StoredSubject::Upload(stored) => (TaskId::parse_of_upload(&stored.task)?, stored),
            StoredSubject::Message { queue, model, body } => {
                return Ok(Self::Message { queue, model, body });
            }
        };
        let StoredTask { round, model, image, client, priority, .. } = stored;
        Ok(Self::Task { task: id, round, model, image, client, priority })
    }
}

impl From<Subject> for StoredSubject {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Task { task, round, model, image, client, priority } => {
                let id = task.to_string();
                let stored = StoredTask { task: id, round, model, image, client, priority };
                match task.source {
                    TaskSource::Request(_) => Self::Task(stored),
                    TaskSource::Upload(_) => Self::Upload(stored),
                }
            }
            Subject::Message { queue, model, body } => Self::Message { queue, model, body },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{EventsId, RequestId};

    #[test]
    fn a_subject_is_stored_as_earlier_programs_read_it() {
        let (id, n, round) = (Uuid::from_u128(7), 3, 2);
        for (source, tag) in [
            (TaskSource::Request(RequestId(id)), "task"),
            (TaskSource::Upload(EventsId(id)), "upload"),
        ] {
            let stored = json!({
                "subject": tag, "task": "task_00000000000000000000000000000007-3", "round": round,
                "model": "cat", "image": "https://a", "client": "default", "lane": "normal",
            });
            let subject = Subject::Task {
                task: source.task(n),
                round,
                model: "cat".parse().unwrap(),
                image: "https://a".to_owned(),
                client: ClientName::default(),
                priority: Priority::default(),
            };
            assert_eq!(serde_json::to_value(&subject).unwrap(), stored);
            assert_eq!(serde_json::from_value::<Subject>(stored).unwrap(), subject);
            let id = crate::DeadLetter::id_of(source.task(n), round);
            assert_eq!(id, "dead_00000000000000000000000000000007-3-2");
        }
        let message = Subject::Message { queue: "a".to_owned(), model: None, body: "{".to_owned() };
        let stored = json!({"subject": "message", "queue": "a", "body": "{"});
        assert_eq!(serde_json::to_value(&message).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Subject>(stored).unwrap(), message);
    }
}
