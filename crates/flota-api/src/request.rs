//! Where a request stands.

use flota_core::{
    Callback, CallbackAttempt, CallbackEvent, CallbackId, CallbackState, Counts, Metadata,
    ModelName, Priority, RequestId, Status,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::OutcomeView;
#[cfg(feature = "openapi")]
use crate::schemas;

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Request))]
pub struct RequestView {
    /// `req_…`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: RequestId,
    /// `succeeded` where all tasks did, `failed` where none did.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Status))]
    pub status: Status,
    /// Whether it will stay so until a replay.
    pub terminal: bool,
    /// How many tasks stand where.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Counts))]
    pub counts: Counts,
    /// The models, in the order of the request.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub models: Vec<ModelName>,
    /// How many images it has.
    pub image_count: usize,
    /// Only `normal` so far.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Priority))]
    pub priority: Priority,
    /// What the client wanted back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schemas::Metadata>, nullable = false))]
    pub metadata: Option<Metadata>,
    /// How long it took.
    pub timings: RequestTimings,
    /// Round 1, and one more for each replay.
    pub rounds: Vec<RoundView>,
    /// The callback of each finished round, with its attempts.
    pub callbacks: Vec<CallbackView>,
    /// How its tasks ended, by task; those that are open are left out.
    pub outcomes: Vec<OutcomeView>,
    /// There are more outcomes: ask for those `?after=` this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next_after: Option<u32>,
}

/// How long a request took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestTimings {
    /// When it was accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When its last round finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, nullable = false)
    )]
    pub finished_at: Option<Timestamp>,
    /// From the opening of the last round until it finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub duration_ms: Option<u64>,
}

/// How far a round is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Round))]
pub struct RoundView {
    /// Counted from 1.
    pub round: u32,
    /// When it was opened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub opened_at: Timestamp,
    /// When its last task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, nullable = false)
    )]
    pub finished_at: Option<Timestamp>,
    /// How many of the tasks that it runs stand where.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::Counts))]
    pub counts: Counts,
}

/// A callback with its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Callback))]
pub struct CallbackView {
    /// Its `webhook-id`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: CallbackId,
    /// The round that it reports.
    pub round: u32,
    /// The receiver's address.
    pub url: String,
    /// What it tells.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::CallbackEvent))]
    pub event: CallbackEvent,
    /// Whether it will be tried again.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::CallbackState))]
    pub state: CallbackState,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, nullable = false)
    )]
    pub due_at: Option<Timestamp>,
    /// Every attempt so far, the oldest first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schemas::CallbackAttempt>))]
    pub attempts: Vec<CallbackAttempt>,
}

impl From<Callback> for CallbackView {
    fn from(callback: Callback) -> Self {
        Self {
            id: callback.id,
            round: callback.id.round,
            url: callback.url,
            event: callback.event,
            state: callback.state,
            due_at: callback.due_at,
            attempts: callback.attempts,
        }
    }
}
