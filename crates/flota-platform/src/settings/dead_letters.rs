use std::time::Duration;

use serde::Deserialize;

use super::parse;

/// Replays of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// How often a server looks for replays that nobody goes on with.
    #[serde(rename = "interval_ms", deserialize_with = "parse::millis")]
    pub interval: Duration,
    /// How often a replay looks at what it has in flight.
    #[serde(rename = "step_ms", deserialize_with = "parse::millis")]
    pub step: Duration,
    /// How long a replay is one server's without a sign of it.
    #[serde(rename = "claim_ms", deserialize_with = "parse::millis")]
    pub claim: Duration,
    /// How often the dead-letter queues are drained into dead letters.
    #[serde(rename = "dlq_interval_ms", deserialize_with = "parse::millis")]
    pub dlq_interval: Duration,
}
