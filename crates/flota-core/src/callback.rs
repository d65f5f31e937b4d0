//! What tells a client that its request is finished.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CallbackEvent, CallbackId};

/// The signed POST of a round, made when the round finishes and kept until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Its `webhook-id`.
    pub id: CallbackId,
    /// The receiver's address.
    pub url: String,
    /// What it tells.
    pub event: CallbackEvent,
    /// Where it stands.
    pub state: CallbackState,
    /// When it is to be tried next; `None` where it is not.
    pub due_at: Option<Timestamp>,
    /// When the round finished.
    pub created_at: Timestamp,
    /// Every attempt so far, the oldest first.
    pub attempts: Vec<CallbackAttempt>,
}

/// Where a callback stands.
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
    /// It will be tried.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// The schedule ran out.
    Failed,
    /// The receiver answered 410: it wants no more.
    Disabled,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackAttempt {
    /// When it began.
    pub at: Timestamp,
    /// The HTTP status, where there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
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
