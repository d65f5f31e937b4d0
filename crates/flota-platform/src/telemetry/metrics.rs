use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use metrics::{Label, Unit, counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use super::TelemetryError;

/// Upper bounds of histograms whose names end in `_seconds`: from a look-up in the store to a request
/// that waited for an evening's spike to pass.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3_600.0, 14_400.0,
];
/// Upper bounds of histograms whose names end in `_size`, of batches: powers of two.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How often samples are folded into histograms, so that they do not pile up while nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

/// A metric, as `# HELP` and `# TYPE` describe it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name, which ends in its unit, and in `_total` where it is a counter.
    pub name: &'static str,
    /// What is measured, in one sentence.
    pub help: &'static str,
    /// How it is measured.
    pub kind: Kind,
}

impl Metric {
    /// A counter; see [`Kind::Counter`] for `zeros`.
    pub const fn counter(
        name: &'static str,
        help: &'static str,
        zeros: &'static [&'static [(&'static str, &'static str)]],
    ) -> Self {
        Self { name, help, kind: Kind::Counter(zeros) }
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge }
    }

    /// A histogram.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Histogram }
    }
}

/// How a metric is measured.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A counter, with the sets of labels that are 0 from the start; one empty set where it has no
    /// labels, none where the labels are learned at run time. A rate of a counter that is born with
    /// its first event misses that event.
    Counter(&'static [&'static [(&'static str, &'static str)]]),
    /// A gauge.
    Gauge,
    /// A histogram, with the bounds that belong to the end of its name.
    Histogram,
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
        describe(OWN);
        gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let kept_up = handle.clone();
        thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            loop {
                thread::sleep(UPKEEP_INTERVAL);
                kept_up.run_upkeep();
            }
        })?;
        Ok(installed.insert(Self { handle, process }).clone())
    }

    /// Describes `metrics`, and starts those counters at 0 whose labels are known.
    #[must_use]
    pub fn with(self, metrics: &[Metric]) -> Self {
        describe(metrics);
        self
    }

    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// The gauges that `measure` sets, in the same format: those of this moment alone, so that a queue
    /// that is gone leaves none behind. `metrics` describes them.
    pub fn render_now(metrics: &[Metric], measure: impl FnOnce()) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            describe(metrics);
            measure();
        });
        recorder.handle().render()
    }
}

const BUILD_INFO: Metric =
    Metric::gauge("flota_build_info", "1, with the version of this process.");

/// What the platform itself measures, in every process.
const OWN: &[Metric] = &[
    BUILD_INFO,
    Metric::counter(
        "flota_aws_requests_total",
        "Calls to AWS, by service and operation, each attempt.",
        &[],
    ),
    Metric::counter(
        "flota_aws_sqs_units_total",
        "Billed requests of SQS: one for each begun 64 KB.",
        &[],
    ),
    Metric::counter(
        "flota_aws_dynamodb_units_total",
        "Capacity units of DynamoDB consumed, by kind (read or write).",
        &[],
    ),
];

fn describe(metrics: &[Metric]) {
    for &Metric { name, help, kind } in metrics {
        let unit = if name.contains("_seconds") { Unit::Seconds } else { Unit::Count };
        ::metrics::with_recorder(|recorder| match kind {
            Kind::Counter(_) => recorder.describe_counter(name.into(), Some(unit), help.into()),
            Kind::Gauge => recorder.describe_gauge(name.into(), Some(unit), help.into()),
            Kind::Histogram => recorder.describe_histogram(name.into(), Some(unit), help.into()),
        });
        if let Kind::Counter(zeros) = kind {
            for labels in zeros {
                let labels = labels.iter().map(|(key, value)| Label::new(*key, *value));
                counter!(name, labels.collect::<Vec<_>>()).increment(0);
            }
        }
    }
}
