//! Replays of dead letters: who asked for what, when, and what came of it.

use flota_core::{
    DeadLetterSelection, ModelName, ModelVersion, Replay, ReplayId, ReplayState, StopReason,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Word;
#[cfg(feature = "openapi")]
use crate::schemas;

/// Replays, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayList {
    /// The page.
    pub replays: Vec<ReplayView>,
}

/// A replay of dead letters: who wanted what, when, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Replay))]
pub struct ReplayView {
    /// `replay_…`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: ReplayId,
    /// The model.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: ModelName,
    /// Which dead letters.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::DeadLetterSelection))]
    pub selection: DeadLetterSelection,
    /// At most so many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub limit: Option<u32>,
    /// At most so many in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub rate_per_second: Option<u32>,
    /// The version that is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub to_version: Option<ModelVersion>,
    /// So many are evaluated before the others are begun.
    pub canary_count: u32,
    /// Where more of a hundred fail again, it stops.
    pub max_failed_percent: u32,
    /// Who wanted it.
    pub by: String,
    /// When it was started.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Whether it goes on.
    pub state: ReplayStateView,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, nullable = false)
    )]
    pub ended_at: Option<Timestamp>,
    /// Why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schemas::StopReason>, nullable = false))]
    pub why: Option<Word<StopReason>>,
    /// Who stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub stopped_by: Option<String>,
    /// How far it is.
    pub counts: ReplayCounts,
}

/// Whether a replay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayState))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ReplayStateView {
    /// It goes on.
    Running,
    /// Every dead letter was dealt with.
    Completed,
    /// It ended early.
    Stopped,
}

/// How many dead letters of a replay stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayCounts {
    /// Begun and not ended; of a stopped replay, not looked at any more.
    pub running: u64,
    /// Succeeded.
    pub succeeded: u64,
    /// Failed again.
    pub failed: u64,
    /// Messages that were sent again, which nobody can evaluate.
    pub resent: u64,
    /// Left as they are: somebody else decided, or the request is gone or runs still.
    pub skipped: u64,
}

impl ReplayCounts {
    /// How many are dealt with.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed + self.resent + self.skipped
    }
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        let Replay { plan, progress, .. } = replay;
        let (state, ended_at, why, stopped_by) = match replay.state {
            ReplayState::Running => (ReplayStateView::Running, None, None, None),
            ReplayState::Completed { at } => (ReplayStateView::Completed, Some(at), None, None),
            ReplayState::Stopped { at, why, by } => {
                (ReplayStateView::Stopped, Some(at), Some(why.into()), by)
            }
        };
        Self {
            id: replay.id,
            model: replay.model,
            selection: plan.selection,
            limit: plan.limit,
            rate_per_second: plan.rate_per_second,
            to_version: plan.to_version,
            canary_count: plan.canary_count,
            max_failed_percent: plan.max_failed_percent,
            by: replay.by,
            created_at: replay.created_at,
            state,
            ended_at,
            why,
            stopped_by,
            counts: ReplayCounts {
                running: progress.in_flight.len() as u64,
                succeeded: progress.succeeded_count.into(),
                failed: progress.failed_count.into(),
                resent: progress.resent_count.into(),
                skipped: progress.skipped_count.into(),
            },
        }
    }
}
