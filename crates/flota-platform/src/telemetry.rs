//! Logs, to standard error, and metrics, rendered where somebody asks for them.

use std::{
    env,
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use thiserror::Error;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::ParseError, fmt, layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::settings::{LogFormat, LogSettings};

/// Upper bounds of histograms whose names end in `_seconds`: from a look into the store to a fetch
/// that ran into its deadline.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of histograms whose names end in `_size`, of batches: powers of two.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How often samples are folded into histograms, lest they pile up while nobody asks.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

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

/// The metrics of this process, its own CPU time, memory and open files among them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

impl Metrics {
    /// Records the metrics of this process from now on. A second call answers the same ones.
    pub fn install() -> Result<Self, TelemetryError> {
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)?
            .install_recorder()?;
        let process = Collector::default();
        process.describe();
        let kept_up = handle.clone();
        thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            loop {
                thread::sleep(UPKEEP_INTERVAL);
                kept_up.run_upkeep();
            }
        })?;
        Ok(installed.insert(Self { handle, process }).clone())
    }

    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }
}
