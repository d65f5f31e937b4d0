use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::Deserialize;
use strum::{Display, EnumString, VariantArray, VariantNames};

use super::{Secret, parse};

/// A part of the server that may run in a process of its own.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Display,
    EnumString,
    VariantNames,
    VariantArray,
)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Serves the API.
    Api,
    /// Records outcomes.
    Recorder,
    /// Sends again what is overdue, replays dead letters, and empties dead-letter queues.
    Sweeper,
    /// Delivers callbacks.
    Notifier,
    /// Turns upload events into tasks.
    Ingest,
}

/// Workers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSettings {
    /// Most tasks in flight at once.
    pub capacity_tasks: usize,
    /// Images fetched at the same time.
    pub fetch_concurrency: usize,
    /// From the look-up of the name to the last byte of an image.
    #[serde(rename = "fetch_timeout_ms", deserialize_with = "parse::millis")]
    pub fetch_timeout: Duration,
    /// Threads that decode; `None`: one per core.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub decode_threads: Option<NonZeroUsize>,
    /// Threads that run the model; `None`: one per core.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub infer_threads: Option<NonZeroUsize>,
    /// Where health and metrics listen.
    #[serde(deserialize_with = "parse::listen_address")]
    pub listen: SocketAddr,
    /// Where fetched weights are kept; see [`Settings::weights_dir`](super::Settings::weights_dir).
    #[serde(deserialize_with = "parse::optional_path")]
    pub cache_dir: Option<PathBuf>,
    /// The first wait before a task is tried again.
    #[serde(rename = "retry_base_ms", deserialize_with = "parse::millis")]
    pub retry_base: Duration,
    /// The longest such wait.
    #[serde(rename = "retry_cap_ms", deserialize_with = "parse::millis")]
    pub retry_cap: Duration,
    /// A worker without a heartbeat for so long is taken for dead.
    #[serde(rename = "heartbeat_ms", deserialize_with = "parse::millis")]
    pub heartbeat: Duration,
    /// How often a task is tried; `None`: as the manifest says.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub attempts: Option<NonZeroUsize>,
}

/// The sweeper.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweeperSettings {
    /// How often it looks for what is overdue.
    #[serde(rename = "interval_ms", deserialize_with = "parse::millis")]
    pub interval: Duration,
    /// When an accepted request is first due.
    #[serde(rename = "accept_grace_ms", deserialize_with = "parse::millis")]
    pub accept_grace: Duration,
    /// When tasks without an outcome are sent again.
    #[serde(rename = "resend_ms", deserialize_with = "parse::millis")]
    pub resend: Duration,
    /// When tasks without an outcome end as lost.
    #[serde(rename = "time_out_after_ms", deserialize_with = "parse::millis")]
    pub time_out_after: Duration,
}

/// The notifier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifierSettings {
    /// How often it looks for callbacks that are due.
    #[serde(rename = "interval_ms", deserialize_with = "parse::millis")]
    pub interval: Duration,
    /// From the look-up of the receiver's name to the last byte of its answer.
    #[serde(rename = "timeout_ms", deserialize_with = "parse::millis")]
    pub timeout: Duration,
    /// How long a callback that is being tried is nobody else's.
    #[serde(rename = "claim_ms", deserialize_with = "parse::millis")]
    pub claim: Duration,
    /// The waits after the first, second, … failed try.
    #[serde(rename = "schedule_ms", deserialize_with = "parse::millis_list")]
    pub schedule: Vec<Duration>,
    /// How long a receiver's breaker stays open.
    #[serde(rename = "breaker_open_ms", deserialize_with = "parse::millis")]
    pub breaker_open: Duration,
    /// Largest body in bytes that carries outcomes; where they do not fit, the body says so.
    pub max_body_bytes: usize,
    /// What signs; every one does. Empty: one that is kept in the data folder.
    pub secrets: Vec<Secret>,
}
