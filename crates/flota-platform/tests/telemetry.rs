//! Logs, seen by their lines in a child process, and metrics, as `/metrics` shows them.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{env, process::Command};

use flota_platform::{
    settings::Settings,
    telemetry::{self, Metrics},
};

/// Set in the environment of the child, which [`child`] then is: the format of its log.
const ROLE: &str = "FLOTA_TEST_LOG_FORMAT";

/// Not a test but the process whose log the tests read.
#[test]
fn child() {
    let Ok(format) = env::var(ROLE) else { return };
    let overrides = [("log.format", format.as_str()), ("log.level", "warn,telemetry=info")];
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let settings = Settings::from_sources(None, [], &overrides).unwrap();
    telemetry::init(&settings.log).unwrap();
    assert!(telemetry::init(&settings.log).is_err(), "logs were set up twice");
    tracing::debug!("not wanted");
    tracing::info!(target: "other", "not wanted");
    tracing::info_span!("delivery", model = "cat").in_scope(|| {
        tracing::info!(task.id = "task_1", duration_ms = 5, "task done");
    });
}

/// The log of a child, whose standard error is no terminal.
fn check_log(format: &str) -> String {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child", "--nocapture"]).env(ROLE, format);
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("task done"), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn off_a_terminal_each_line_is_a_json_object() {
    for format in ["auto", "json"] {
        let log = check_log(format);
        let [line] = log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["message"], "task done");
        assert_eq!(line["task.id"], "task_1");
        assert_eq!(line["duration_ms"], 5);
        assert_eq!(line["span"]["model"], "cat");
    }
}

#[test]
fn the_human_format_has_no_colours_off_a_terminal() {
    let log = check_log("human");
    assert!(log.contains("task done") && log.contains("task.id=\"task_1\""), "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains("not wanted"), "{log}");
}

#[test]
fn metrics_are_rendered_with_those_of_the_process() {
    let recorded = Metrics::install().unwrap();
    let same = Metrics::install().unwrap();
    metrics::counter!("flota_tasks_total", "model" => "cat").increment(3);
    metrics::histogram!("flota_fetch_duration_seconds").record(0.2);
    metrics::histogram!("flota_batch_size").record(5.0);
    for text in [recorded.render(), same.render()] {
        for line in [
            "flota_tasks_total{model=\"cat\"} 3",
            "flota_fetch_duration_seconds_bucket{le=\"0.1\"} 0",
            "flota_fetch_duration_seconds_bucket{le=\"0.25\"} 1",
            "flota_batch_size_bucket{le=\"8\"} 1",
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
    }
}
