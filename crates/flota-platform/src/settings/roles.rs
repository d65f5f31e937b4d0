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
    /// Sends again what is overdue, replays dead letters, and empties crash nets.
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
    /// Most tasks in hand at once.
    pub capacity_tasks: usize,
    /// How long a message is ours without a heartbeat.
    #[serde(rename = "lease_ms", deserialize_with = "parse::millis")]
    pub lease: Duration,
    /// How long a message is ours at most.
    #[serde(rename = "max_lease_ms", deserialize_with = "parse::millis")]
    pub max_lease: Duration,
    /// How long stopping may take.
    #[serde(rename = "drain_ms", deserialize_with = "parse::millis")]
    pub drain: Duration,
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
    /// A worker without a sign of life for so long is taken for dead.
    #[serde(rename = "life_ms", deserialize_with = "parse::millis")]
    pub life: Duration,
    /// How often a task is tried; `None`: as the manifest says.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub attempts: Option<NonZeroUsize>,
}

/// The recorder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderSettings {
    /// Most outcomes in hand at once.
    pub capacity_tasks: usize,
    /// How long a message is ours without a heartbeat.
    #[serde(rename = "lease_ms", deserialize_with = "parse::millis")]
    pub lease: Duration,
    /// How long a message is ours at most.
    #[serde(rename = "max_lease_ms", deserialize_with = "parse::millis")]
    pub max_lease: Duration,
    /// How long stopping may take.
    #[serde(rename = "drain_ms", deserialize_with = "parse::millis")]
    pub drain: Duration,
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
    #[serde(rename = "lost_after_ms", deserialize_with = "parse::millis")]
    pub lost_after: Duration,
    /// Most rounds taken at once.
    pub batch: usize,
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
    /// Most callbacks under way at once.
    pub concurrency: usize,
    /// Most callbacks under way at once to one receiver.
    pub per_receiver: usize,
    /// The waits after the first, second, … failed try.
    #[serde(rename = "schedule_ms", deserialize_with = "parse::millis_list")]
    pub schedule: Vec<Duration>,
    /// So many failures in a row open a receiver's breaker.
    pub breaker_failures: u32,
    /// How long it stays open.
    #[serde(rename = "breaker_open_ms", deserialize_with = "parse::millis")]
    pub breaker_open: Duration,
    /// The longest `Retry-After` that is honoured.
    #[serde(rename = "max_retry_after_ms", deserialize_with = "parse::millis")]
    pub max_retry_after: Duration,
    /// Largest body in bytes that carries outcomes; where they do not fit, the body says so.
    pub max_body_bytes: usize,
    /// What signs; every one does. Empty: one that is kept in the data folder.
    pub secrets: Vec<Secret>,
}
