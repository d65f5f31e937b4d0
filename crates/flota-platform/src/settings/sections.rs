use std::{
    collections::BTreeSet, net::SocketAddr, num::NonZeroUsize, path::PathBuf, str::FromStr,
    time::Duration,
};

use flota_core::{
    QueueNames,
    consume::{ConsumeSettings, WeightedQueue},
};
use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use super::{
    DeadLetterSettings, EngineSettings, FetchSettings, IngestSettings, ModelGroup,
    NotifierSettings, ObjectSettings, RetentionSettings, Role, SweeperSettings, WorkerSettings,
    parse,
};
use crate::net::PortRange;

/// Everything that can be set. `default.toml` says what each key means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the store, the images and the weights are kept.
    pub data_dir: PathBuf,
    /// What stands behind the queues and the records.
    #[serde(deserialize_with = "parse::from_text")]
    pub backend: Backend,
    /// The beginning of the names of queues and tables.
    pub prefix: String,
    /// The data folder, where the backend is embedded.
    pub embedded: EmbeddedSettings,
    /// AWS, where that is the backend.
    pub aws: AwsSettings,
    /// The API.
    pub server: ServerSettings,
    /// How queues are consumed.
    pub queue: QueueSettings,
    /// What runs the models.
    pub engine: EngineSettings,
    /// Workers.
    pub worker: WorkerSettings,
    /// Fetching images.
    pub fetch: FetchSettings,
    /// Images that lie in S3.
    pub objects: ObjectSettings,
    /// Upload events.
    pub ingest: IngestSettings,
    /// The sweeper.
    pub sweeper: SweeperSettings,
    /// Replays of dead letters, and the queues' dead-letter queues.
    pub dead_letters: DeadLetterSettings,
    /// How long things are stored.
    pub retention: RetentionSettings,
    /// The notifier.
    pub notifier: NotifierSettings,
    /// HTTP out.
    pub network: NetworkSettings,
    /// Where models are found.
    pub models: ModelSettings,
    /// Logs.
    pub log: LogSettings,
}

/// What stands behind the queues and the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// SQLite and files under the data folder.
    Embedded,
    /// SQS, DynamoDB and S3.
    Aws,
}

/// The data folder of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedSettings {
    /// Where less is free on its disk, nothing new is accepted; see
    /// [`DiskSpace::reserved_bytes`](crate::DiskSpace::reserved_bytes).
    pub min_free_bytes: u64,
}

/// AWS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSettings {
    /// The region; `None`: as the environment, the profile or the instance says.
    #[serde(deserialize_with = "parse::optional_text")]
    pub region: Option<String>,
    /// Where all services are, such as an emulator; `None`: AWS.
    #[serde(deserialize_with = "parse::optional_http_url")]
    pub endpoint: Option<Url>,
    /// The bucket that keeps uploaded images.
    pub bucket: String,
    /// Whether a queue, table or bucket that is not there is made.
    pub create_missing: bool,
    /// How long a request and what belongs to it is kept; `None`: for good.
    #[serde(rename = "retain_requests_days", deserialize_with = "parse::optional_days")]
    pub retain_requests: Option<Duration>,
    /// How long one try of a call may take, beyond the wait of a poll and the bytes of an image.
    #[serde(rename = "call_timeout_ms", deserialize_with = "parse::millis")]
    pub call_timeout: Duration,
}

/// The API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// What this process does of it.
    #[serde(deserialize_with = "parse::roles")]
    pub roles: BTreeSet<Role>,
    /// Where it listens.
    #[serde(deserialize_with = "parse::listen_address")]
    pub listen: SocketAddr,
    /// How clients reach it; `None`: where it listens.
    #[serde(deserialize_with = "parse::optional_http_url")]
    pub public_url: Option<Url>,
    /// Names that it is called by, beside `public_url`, `localhost` and literal addresses.
    pub hosts: Vec<String>,
    /// Largest image that can be uploaded.
    pub max_upload_bytes: u64,
    /// Most bytes of bodies that are arriving; `None`: as [`ServerSettings::max_body_bytes`] says.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub max_body_bytes: Option<NonZeroUsize>,
    /// Most connections at once; `None`: as many as the limit of open files leaves room for.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub max_connections: Option<NonZeroUsize>,
    /// Most connections at once of one peer; `None`: three quarters of all.
    #[serde(deserialize_with = "parse::zero_is_none")]
    pub max_connections_per_peer: Option<NonZeroUsize>,
    /// Most calls at once that wait for a request to finish.
    pub max_waits: usize,
}

/// How queues are consumed, by workers and servers alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// How long a poll of an empty queue waits for the first message.
    #[serde(rename = "poll_wait_ms", deserialize_with = "parse::millis")]
    pub poll_wait: Duration,
    /// How long a received message is leased, and by how much a heartbeat extends it.
    #[serde(rename = "lease_ms", deserialize_with = "parse::millis")]
    pub lease: Duration,
    /// The cap on a lease.
    #[serde(rename = "max_lease_ms", deserialize_with = "parse::millis")]
    pub max_lease: Duration,
    /// How long stopping may take.
    #[serde(rename = "drain_ms", deserialize_with = "parse::millis")]
    pub drain: Duration,
}

impl QueueSettings {
    /// How `queues` are consumed, with at most `capacity` tasks in flight.
    pub fn consume(&self, queues: Vec<WeightedQueue>, capacity: usize) -> ConsumeSettings {
        ConsumeSettings {
            queues,
            capacity,
            min_capacity: capacity,
            lease: self.lease,
            max_lease: self.max_lease,
            wait: self.poll_wait,
            drain: self.drain,
        }
    }
}

/// HTTP out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Networks that may be reached although they are private.
    #[serde(deserialize_with = "parse::networks")]
    pub allow: Vec<IpNet>,
    /// Ports that may be called.
    #[serde(deserialize_with = "parse::ports")]
    pub ports: Vec<PortRange>,
}

/// Where models are found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Folders whose subfolders are models.
    pub dirs: Vec<PathBuf>,
    /// Models that share a worker.
    #[serde(deserialize_with = "parse::groups")]
    pub groups: Vec<ModelGroup>,
    /// The workers that are to run, each with its models; empty: nobody says which.
    #[serde(deserialize_with = "parse::groups")]
    pub planned: Vec<ModelGroup>,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// A level, or directives of `tracing`'s `EnvFilter`.
    pub level: String,
    /// How a line looks.
    #[serde(deserialize_with = "parse::from_text")]
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

impl Backend {
    /// The wait of a poll where none is set. On AWS each poll is billed.
    pub(super) fn poll_wait(self) -> Duration {
        match self {
            Self::Embedded => Duration::from_secs(1),
            Self::Aws => Duration::from_secs(15),
        }
    }
}

impl ServerSettings {
    /// Least room for bodies where the settings say nothing.
    const LEAST_BODY_BYTES: u64 = 256 * 1024 * 1024;
    /// So many of the largest uploads have room at once where the settings say nothing.
    const LARGEST_UPLOADS: u64 = 8;

    /// Most bytes of bodies that are arriving, altogether.
    pub fn max_body_bytes(&self) -> u64 {
        let largest = self.max_upload_bytes.saturating_mul(Self::LARGEST_UPLOADS);
        let set = self.max_body_bytes.map(|bytes| bytes.get() as u64);
        set.unwrap_or(largest.max(Self::LEAST_BODY_BYTES))
    }
}

impl Settings {
    /// The names of the fleet's queues.
    pub fn queue_names(&self) -> QueueNames {
        QueueNames::new(&self.prefix)
    }

    /// The folder in which fetched weights are kept.
    pub fn weights_dir(&self) -> PathBuf {
        self.worker.cache_dir.clone().unwrap_or_else(|| self.data_dir.join("weights"))
    }
}

impl FromStr for Backend {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "aws" => Ok(Self::Aws),
            _ => Err("\"embedded\" or \"aws\""),
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err("\"auto\", \"human\" or \"json\""),
        }
    }
}
