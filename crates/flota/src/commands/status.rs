use std::{process::ExitCode, time::Duration};

use flota_client::{Client, OutcomeView, RequestView};
use flota_core::Counts;

use crate::{
    cli::StatusArgs,
    print::{print, print_json},
    show,
    table::{Table, terminal_width},
    times,
};

/// Shows where a request stands.
pub(crate) async fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    if args.json {
        print_json(&client.request_json(args.id).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = client.request(args.id, Duration::ZERO).await?;
    let outcomes = client.outcomes(request.id).await?;
    print_request(&request, &outcomes)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes where a request stands, and a line for each task that ended.
pub(crate) fn print_request(request: &RequestView, outcomes: &[OutcomeView]) -> anyhow::Result<()> {
    let parts = parts(&request.counts, outcomes);
    let submitted = times::shown(request.timings.created_at);
    let took = match request.timings.duration_ms {
        Some(ms @ ..100) => format!(", took {ms} ms"),
        Some(ms) => format!(", took {:.1} s", ms as f64 / 1_000.0),
        None => String::new(),
    };
    let (id, status) = (request.id, request.status);
    print(format!("{id}: {status} ({parts}), submitted {submitted}{took}"))?;
    if outcomes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["image", "model", "outcome"]);
    for outcome in outcomes {
        let task = outcome.task();
        let image = task.image.id.as_deref().unwrap_or(&task.image.url);
        table.add([image, task.model.as_str(), &show::outcome(outcome)]);
    }
    Ok(print(table.draw(terminal_width()))?)
}

/// How many tasks stand where, and how many of them were answered from the cache.
fn parts(counts: &Counts, outcomes: &[OutcomeView]) -> String {
    let cached = outcomes.iter().filter(|outcome| outcome.is_cached()).count();
    let parts = [
        (counts.open as usize, "open"),
        (counts.succeeded as usize, "succeeded"),
        (cached, "from cache"),
        (counts.failed as usize, "failed"),
        (counts.expired as usize, "expired"),
        (counts.canceled as usize, "canceled"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_cache_answered_is_counted() {
        let counts = json!({"total": 4, "open": 1, "succeeded": 2, "failed": 1, "expired": 0, "canceled": 0});
        let counts: Counts = serde_json::from_value(counts).unwrap();
        let outcome = |cached: bool| {
            json!({"task": "task_1-0", "n": 0, "round": 1, "image": {"url": "https://a/b"},
                "model": "cat", "attempts": 0, "timings": {}, "ended_at": "2026-11-21T10:00:00Z",
                "outcome": "succeeded", "sha256": "0".repeat(64), "version": "1", "cached": cached})
        };
        let outcomes = |cached: [bool; 2]| -> Vec<OutcomeView> {
            serde_json::from_value(json!(cached.map(outcome))).unwrap()
        };
        let some = parts(&counts, &outcomes([true, false]));
        assert_eq!(some, "1 open, 2 succeeded, 1 from cache, 1 failed");
        assert_eq!(parts(&counts, &outcomes([false; 2])), "1 open, 2 succeeded, 1 failed");
    }
}
