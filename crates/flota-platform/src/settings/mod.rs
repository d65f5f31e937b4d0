//! Settings: read once, at start, into one struct per concern.

mod bounds;
mod error;
mod parse;
mod roles;
mod schema;
mod sections;
mod sources;

pub use error::SettingsError;
pub use parse::Secret;
pub use roles::{NotifierSettings, RecorderSettings, SweeperSettings, WorkerSettings};
pub use sections::{
    Backend, LogFormat, LogSettings, ModelSettings, NetworkSettings, QueueSettings, ServerSettings,
    Settings,
};
pub use sources::{FILE_NAME, variable_name};
