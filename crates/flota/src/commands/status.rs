use std::{process::ExitCode, time::Duration};

use crate::{
    cli::StatusArgs,
    client::{Client, OutcomeAnswer, RequestAnswer},
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
pub(crate) fn print_request(
    request: &RequestAnswer,
    outcomes: &[OutcomeAnswer],
) -> anyhow::Result<()> {
    let counts = &request.counts;
    let others = [
        (counts.open, "open"),
        (counts.succeeded, "succeeded"),
        (counts.failed, "failed"),
        (counts.expired, "expired"),
        (counts.canceled, "canceled"),
    ];
    let parts = others.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    let submitted = times::shown(request.timings.created_at);
    let took = match request.timings.duration_ms {
        Some(ms) => format!(", took {:.1} s", ms as f64 / 1_000.0),
        None => String::new(),
    };
    let (id, status, parts) = (request.id, request.status, parts.join(", "));
    print(format!("{id}: {status} ({parts}), submitted {submitted}{took}"))?;
    if outcomes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["image", "model", "outcome"]);
    for outcome in outcomes {
        let image = outcome.image.id.as_deref().unwrap_or(&outcome.image.url);
        table.add([image, outcome.model.as_str(), &show::ending(&outcome.ending)]);
    }
    Ok(print(table.draw(terminal_width()))?)
}
