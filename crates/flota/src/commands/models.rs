use std::process::ExitCode;

use flota_client::{Client, ModelView};

use crate::{
    cli::ModelsArgs,
    print::{print, print_json},
    table::{Table, terminal_width},
    times,
};

/// Lists the models that a fleet knows.
pub(crate) async fn models(args: ModelsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    if args.json {
        print_json(&client.models_json().await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let models = client.models().await?;
    if models.is_empty() {
        print("no models yet: a worker registers its models when it starts")?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = terminal_width();
    print(table(&models, width.is_some()).draw(width))?;
    Ok(ExitCode::SUCCESS)
}

/// So many characters of a digest tell two models apart for people; `--json` has all.
const DIGEST_CHARS: usize = 12;

/// A row for each model. People read times in words; programs get seconds, and headings that say so.
fn table(models: &[ModelView], is_terminal: bool) -> Table {
    let [oldest, arrival, throughput, drain] = match is_terminal {
        true => ["oldest", "arrival rate", "throughput", "time to drain"],
        false => ["oldest (s)", "arrival rate (/s)", "throughput (/s)", "time to drain (s)"],
    };
    let seconds = |seconds: f64| match is_terminal {
        true => times::length(seconds),
        false => format!("{seconds:.0}"),
    };
    let rate = |rate: f64| match is_terminal {
        true => format!("{rate:.1}/s"),
        false => format!("{rate:.1}"),
    };
    let headings = ["model", "version", "digest", "worker", "alive", "backlog"];
    let mut table =
        Table::new(&[headings.as_slice(), &[oldest, arrival, throughput, drain]].concat());
    for model in models {
        let backlog = model.backlog.as_ref();
        let cell = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        table.add([
            model.name.to_string(),
            model.version.to_string(),
            model.digest.to_string().chars().take(DIGEST_CHARS).collect(),
            model.worker.to_string(),
            model.workers_alive.to_string(),
            cell(backlog.map(|backlog| backlog.tasks.to_string())),
            cell(backlog.and_then(|backlog| backlog.oldest_age_seconds).map(seconds)),
            cell(backlog.and_then(|backlog| backlog.arrival_per_second).map(rate)),
            cell(backlog.map(|backlog| rate(backlog.service_per_second))),
            cell(backlog.and_then(|backlog| backlog.drain_seconds).map(seconds)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_words_on_a_terminal_and_seconds_for_programs() {
        let backlog = json!({"tasks": 1500, "oldest_age_seconds": 200.4, "arrival_per_second": null,
            "service_per_second": 2.04, "drain_seconds": 7300.0});
        let model = |name: &str, backlog| {
            json!({"name": name, "version": "1", "digest": "0123456789abcdef".repeat(4),
                "worker": name, "workers_alive": 2, "alive_by_version": {"1": 2}, "queue": null,
                "backlog": backlog, "registered_at": "2026-11-21T10:00:00Z", "manifest": {}})
        };
        let models = json!([model("cat", backlog), model("dog", json!(null))]);
        let models: Vec<ModelView> = serde_json::from_value(models).unwrap();
        let wide = table(&models, true).draw(Some(120));
        for part in ["┆ oldest ", "┆ 3 mins ", "┆ 2.0/s ", "┆ time to drain", "┆ 2 hrs ", "┆ 1500 "]
        {
            assert!(wide.contains(part), "{part}: {wide}");
        }
        let piped = table(&models, false).draw(None);
        let lines: Vec<&str> = piped.lines().collect();
        assert!(
            lines[0]
                .ends_with("\toldest (s)\tarrival rate (/s)\tthroughput (/s)\ttime to drain (s)")
        );
        assert_eq!(lines[1], "cat\t1\t0123456789ab\tcat\t2\t1500\t200\t-\t2.0\t7300");
        assert_eq!(lines[2], "dog\t1\t0123456789ab\tdog\t2\t-\t-\t-\t-\t-");
    }
}
