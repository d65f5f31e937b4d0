//! Ids: sortable, prefixed, parsed at the edge.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// Text that is not an id of the wanted kind.
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

/// The id of upload events whose tasks were sent together: `evt_` and the 32 hexadecimal digits of a
/// UUIDv7. It keeps those tasks apart from others; no request is kept under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventsId(pub Uuid);

/// The id of a task: `task_<request>-<n>`, derived and never stored twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    /// The request that asked; of a task of upload events, their id in its place.
    pub request: RequestId,
    /// The place in the request: image index x number of models + model index.
    pub n: u32,
}

/// The `webhook-id` of a round's callback: `msg_<request>-<round>`, the same over all attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallbackId {
    /// The request that finished.
    pub request: RequestId,
    /// The round that finished.
    pub round: u32,
}

/// The id of a replay: `replay_` and the 32 hexadecimal digits of a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplayId(pub Uuid);

fn parse_uuid(digits: &str) -> Option<Uuid> {
    // Uuid also reads braces and hyphens; one id has one spelling.
    (digits.len() == 32).then(|| Uuid::try_parse(digits).ok())?
}

fn parse_numbered(text: &str, prefix: &str) -> Option<(RequestId, u32)> {
    let (digits, number) = text.strip_prefix(prefix)?.split_once('-')?;
    Some((RequestId(parse_uuid(digits)?), number.parse().ok()?))
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

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_numbered(text, "task_")
            .map(|(request, n)| Self { request, n })
            .ok_or_else(|| id_error(text, "task", "task_<32 hex digits>-<number>"))
    }
}

impl FromStr for CallbackId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_numbered(text, "msg_")
            .map(|(request, round)| Self { request, round })
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

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task_{}-{}", self.request.0.simple(), self.n)
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

impl TryFrom<String> for TaskId {
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

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
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
        let task = TaskId { request, n: 17 };
        assert_eq!(request.to_string(), "req_01930000000070008000000000000001");
        assert_eq!(task.to_string().parse(), Ok(task));
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
        assert!("task_01930000000070008000000000000001--1".parse::<TaskId>().is_err());
    }
}
