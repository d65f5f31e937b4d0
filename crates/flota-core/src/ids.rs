//! Ids: prefixed, sortable, parsed where they enter.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::TraceParent;

/// Text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not the id of a {kind}: `{form}` is wanted")]
pub struct IdError {
    text: String,
    kind: &'static str,
    form: &'static str,
}

/// The id of a request: `req_` and the 32 hexadecimal digits of a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(pub Uuid);

/// The id of upload events whose tasks were sent together: `evt_` and the 32 hexadecimal digits of
/// a UUIDv7. It tells these tasks from others; no request is stored under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventsId(pub Uuid);

/// The source of tasks: a request or upload events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskSource {
    /// A request, which stores the outcomes of its tasks.
    Request(RequestId),
    /// Upload events. Each of their tasks leaves a prediction or a dead letter, and an alias for
    /// its object; nothing else is stored.
    #[serde(rename = "events")]
    Upload(EventsId),
}

/// The id of a task, derived from its source. Its text is `task_<32 hex digits>-<n>`, with the
/// digits of the source; requests and upload events never share them.
/// those of its source; no request and no upload events have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The source of the task.
    pub source: TaskSource,
    /// Its number there. In a request: image index x number of models + model index.
    pub n: u32,
}

/// The id of a round's callback, sent as `webhook-id`: `msg_<request>-<round>`. All attempts have
/// the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallbackId {
    /// The finished request.
    pub request: RequestId,
    /// The finished round.
    pub round: u32,
}

/// The id of a replay: `replay_` and the 32 hexadecimal digits of a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplayId(pub Uuid);

fn parse_uuid(digits: &str) -> Option<Uuid> {
    // `Uuid` also parses braces and hyphens, but an id has one spelling.
    (digits.len() == 32).then(|| Uuid::try_parse(digits).ok())?
}

fn parse_numbered(text: &str, prefix: &str) -> Option<(Uuid, u32)> {
    let (digits, number) = text.strip_prefix(prefix)?.split_once('-')?;
    Some((parse_uuid(digits)?, number.parse().ok()?))
}

fn id_error(text: &str, kind: &'static str, form: &'static str) -> IdError {
    IdError { text: text.chars().take(80).collect(), kind, form }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let uuid = text.strip_prefix("req_").and_then(parse_uuid);
        uuid.map(Self).ok_or_else(|| id_error(text, "request", "req_<32 hex digits>"))
    }
}

impl FromStr for EventsId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let uuid = text.strip_prefix("evt_").and_then(parse_uuid);
        uuid.map(Self).ok_or_else(|| id_error(text, "group of events", "evt_<32 hex digits>"))
    }
}

impl FromStr for CallbackId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_numbered(text, "msg_")
            .map(|(request, round)| Self { request: RequestId(request), round })
            .ok_or_else(|| id_error(text, "callback", "msg_<32 hex digits>-<round>"))
    }
}

impl FromStr for ReplayId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let uuid = text.strip_prefix("replay_").and_then(parse_uuid);
        uuid.map(Self).ok_or_else(|| id_error(text, "replay", "replay_<32 hex digits>"))
    }
}

impl TaskSource {
    /// The id of the request; `None` for upload events.
    pub fn request(self) -> Option<RequestId> {
        match self {
            Self::Request(id) => Some(id),
            Self::Upload(_) => None,
        }
    }

    /// The id of the task numbered `n`.
    pub fn task(self, n: u32) -> TaskId {
        TaskId { source: self, n }
    }

    /// The UUID of the request or the upload events, which is part of the key of records about its
    /// tasks.
    pub fn uuid(self) -> Uuid {
        let (Self::Request(RequestId(id)) | Self::Upload(EventsId(id))) = self;
        id
    }

    /// The trace context of all messages that follow from the source.
    pub fn trace(self) -> TraceParent {
        TraceParent::of(self.uuid())
    }
}

impl TaskId {
    /// Parses the id of a task of a request.
    ///
    /// # Errors
    /// If `text` is not the id of a task.
    pub fn parse_of_request(text: &str) -> Result<Self, IdError> {
        Self::parse(text, |id| TaskSource::Request(RequestId(id)))
    }

    /// Parses the id of a task of upload events.
    ///
    /// # Errors
    /// If `text` is not the id of a task.
    pub fn parse_of_upload(text: &str) -> Result<Self, IdError> {
        Self::parse(text, |id| TaskSource::Upload(EventsId(id)))
    }

    fn parse(text: &str, source: impl FnOnce(Uuid) -> TaskSource) -> Result<Self, IdError> {
        parse_numbered(text, "task_")
            .map(|(id, n)| source(id).task(n))
            .ok_or_else(|| id_error(text, "task", "task_<32 hex digits>-<number>"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req_{}", self.0.simple())
    }
}

impl fmt::Display for EventsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0.simple())
    }
}

impl fmt::Display for TaskSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(id) => id.fmt(f),
            Self::Upload(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task_{}-{}", self.source.uuid().simple(), self.n)
    }
}

impl fmt::Display for CallbackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}-{}", self.request.0.simple(), self.round)
    }
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replay_{}", self.0.simple())
    }
}

impl TryFrom<String> for RequestId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl TryFrom<String> for EventsId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl TryFrom<String> for CallbackId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl TryFrom<String> for ReplayId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

impl From<EventsId> for String {
    fn from(id: EventsId) -> Self {
        id.to_string()
    }
}

impl From<CallbackId> for String {
    fn from(id: CallbackId) -> Self {
        id.to_string()
    }
}

impl From<ReplayId> for String {
    fn from(id: ReplayId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text() {
        let request = RequestId(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(request.to_string(), "req_01930000000070008000000000000001");
        let task = TaskSource::Request(request).task(17);
        assert_eq!(TaskId::parse_of_request(&task.to_string()), Ok(task));
        let upload = TaskSource::Upload(EventsId(request.0)).task(17);
        assert_eq!(TaskId::parse_of_upload(&upload.to_string()), Ok(upload));
        assert_ne!(task, upload, "no event is a request");
        let callback = CallbackId { request, round: 2 };
        assert_eq!(callback.to_string().parse(), Ok(callback));
        let replay = ReplayId(request.0);
        assert_eq!(replay.to_string().parse(), Ok(replay));
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "",
            "req_",
            "01930000000070008000000000000001",
            "req_01930000-0000-7000-8000-000000000001",
            "task_01930000000070008000000000000001-1",
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad} was taken");
        }
        for bad in
            ["task_01930000000070008000000000000001--1", "task_01930000000070008000000000000001"]
        {
            assert!(
                TaskId::parse_of_request(bad).is_err() && TaskId::parse_of_upload(bad).is_err()
            );
        }
    }
}
