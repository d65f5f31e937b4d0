//! What a worker reports on its standard output, once it is ready, to the process that started it.

use std::io::{self, Write};

use flota_core::{ModelName, ModelVersion};
use serde::{Deserialize, Serialize};

/// Stands before the JSON of a [`ReadyReport`] in its line.
const MARK: &str = "ready ";

/// How a worker runs its models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyReport {
    /// Its models.
    pub models: Vec<ReadyModel>,
}

/// How a worker runs a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyModel {
    /// Its name.
    pub name: ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// The engine that runs it, in words.
    pub engine: String,
    /// How many sessions run at the same time.
    pub session_count: usize,
    /// How many threads each session has.
    pub thread_count: usize,
    /// Most images that a session takes at once.
    pub batch_size: u32,
}

impl ReadyReport {
    /// Writes it to standard output as one line. A closed output is no error: the report is not needed then.
    pub(crate) fn write(&self) {
        let json = serde_json::to_string(self).expect("plain data is always JSON");
        let mut output = io::stdout().lock();
        let _ = output.write_all(format!("{MARK}{json}\n").as_bytes());
        let _ = output.flush();
    }

    /// The report in a line of a worker's standard output, if it holds one.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_no_other_line_is() {
        let model = ReadyModel {
            name: "cat".parse().unwrap(),
            version: ModelVersion("1".to_owned()),
            engine: "tract".to_owned(),
            session_count: 2,
            thread_count: 1,
            batch_size: 4,
        };
        let report = ReadyReport { models: vec![model] };
        let line = format!("{MARK}{}", serde_json::to_string(&report).unwrap());
        assert_eq!(ReadyReport::parse(&line), Some(report));
        for other in ["", "ready", "ready {}", "listening on http://127.0.0.1:1"] {
            assert_eq!(ReadyReport::parse(other), None, "{other}");
        }
    }
}
