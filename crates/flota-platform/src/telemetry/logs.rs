//! Logs, to standard error.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::TelemetryError;
use crate::settings::{LogFormat, LogSettings};

/// Sends the logs of this process to standard error, once in its life. Colours only on a terminal,
/// and not where `NO_COLOR` is set.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|source| TelemetryError::Level { level: settings.level.clone(), source })?;
    let is_terminal = io::stderr().is_terminal();
    let is_human = match settings.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    let has_colours = is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt::layer().with_writer(io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if is_human {
        lines.with_ansi(has_colours).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    let subscriber = Registry::default().with(lines.with_filter(filter));
    subscriber.try_init().map_err(|_| TelemetryError::LogsTwice)
}
