use std::time::Duration;

use flota_core::{limits::MAX_MESSAGE_AGE, ports::StoredKind};
use serde::Deserialize;

use super::parse;

/// How long things are stored where the store does not delete them by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// How often a server looks for what is old enough.
    #[serde(rename = "interval_ms", deserialize_with = "parse::millis")]
    pub interval: Duration,
    /// Requests, after their last round finished; `None`: for good, as with all that follow.
    #[serde(rename = "requests_hours", deserialize_with = "parse::optional_hours")]
    pub requests: Option<Duration>,
    /// Predictions, after an outcome last named them.
    #[serde(rename = "predictions_hours", deserialize_with = "parse::optional_hours")]
    pub predictions: Option<Duration>,
    /// Uploaded images, after they were last uploaded.
    #[serde(rename = "images_hours", deserialize_with = "parse::optional_hours")]
    pub images: Option<Duration>,
    /// Dead letters that were resolved, and replays that ended, after that.
    #[serde(rename = "dead_letters_hours", deserialize_with = "parse::optional_hours")]
    pub dead_letters: Option<Duration>,
    /// Dead letters that are open, after they were made.
    #[serde(rename = "open_dead_letters_hours", deserialize_with = "parse::optional_hours")]
    pub open_dead_letters: Option<Duration>,
}

impl RetentionSettings {
    /// How long `kind` is stored; `None`: for good.
    pub fn age(&self, kind: StoredKind) -> Option<Duration> {
        match kind {
            // As long as SQS keeps one.
            StoredKind::Messages => Some(MAX_MESSAGE_AGE.unsigned_abs()),
            StoredKind::Requests => self.requests,
            StoredKind::DeadLetters | StoredKind::Replays => self.dead_letters,
            StoredKind::OpenDeadLetters => self.open_dead_letters,
            StoredKind::Predictions | StoredKind::Aliases => self.predictions,
            StoredKind::Images => self.images,
        }
    }
}
