//! Logs, to standard error, and metrics, rendered on request.

use std::io;

use metrics_exporter_prometheus::BuildError;
use thiserror::Error;
use tracing_subscriber::filter::ParseError;

mod logs;
mod metrics;

pub use logs::init;
pub use metrics::{Kind, Metric, Metrics};

/// Logs or metrics could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The level is not one, nor directives.
    #[error("`{level}` is not a log level")]
    Level {
        /// The text.
        level: String,
        /// Why not.
        source: ParseError,
    },
    /// Something else in this process has set up logs before.
    #[error("logs are set up already")]
    LogsTwice,
    /// Something else in this process has set up metrics before.
    #[error("cannot set up metrics")]
    Metrics(#[from] BuildError),
    /// The operating system refused a thread.
    #[error("cannot start a thread for metrics")]
    Thread(#[from] io::Error),
}
