//! Settings: read once, at start, into one struct per concern.

mod bounds;
mod dead_letters;
mod engine;
mod error;
mod fetch;
mod groups;
mod ingest;
mod parse;
mod retention;
mod roles;
mod schema;
mod sections;
mod sources;

pub use dead_letters::DeadLetterSettings;
pub use engine::{EngineKind, EngineProvider, EngineSettings};
pub use error::SettingsError;
pub use fetch::FetchSettings;
pub use groups::ModelGroup;
pub use ingest::{IngestRule, IngestSettings, ObjectSettings};
pub use parse::Secret;
pub use retention::RetentionSettings;
pub use roles::{NotifierSettings, Role, SweeperSettings, WorkerSettings};
pub use sections::{
    AwsSettings, Backend, EmbeddedSettings, LogFormat, LogSettings, ModelSettings, NetworkSettings,
    QueueSettings, ServerSettings, Settings,
};
pub use sources::{FILE_NAME, variable_name};
