//! The callback that tells a client that its request is finished.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CallbackEvent, CallbackId};

/// The signed POST for a round. It is created when the round finishes, and stored until it is
/// delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The header `webhook-id`.
    pub id: CallbackId,
    /// The URL of the receiver.
    pub url: String,
    /// The event that the callback reports.
    pub event: CallbackEvent,
    /// The delivery state.
    pub state: CallbackState,
    /// When the next attempt is due; `None` if there is none.
    pub due_at: Option<Timestamp>,
    /// When the round finished.
    pub created_at: Timestamp,
    /// All attempts so far, oldest first.
    pub attempts: Vec<CallbackAttempt>,
}

/// The delivery state of a callback.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CallbackState {
    /// Another attempt is due.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// The last attempt of the schedule failed.
    Failed,
    /// The receiver answered 410 and gets no more attempts.
    Disabled,
}

/// One attempt to deliver a callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackAttempt {
    /// When the attempt began.
    pub at: Timestamp,
    /// The HTTP status, if the receiver answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error, if the attempt had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Duration in milliseconds.
    pub duration_ms: u64,
}

impl Callback {
    /// A callback that is due at once.
    pub fn new(id: CallbackId, url: String, event: CallbackEvent, now: Timestamp) -> Self {
        Self {
            id,
            url,
            event,
            state: CallbackState::Pending,
            due_at: Some(now),
            created_at: now,
            attempts: Vec::new(),
        }
    }
}
