use std::{process::ExitCode, time::Duration};

use crate::{
    cli::StatusArgs,
    client::{Client, RequestAnswer},
    print::{print, print_json},
    show,
    table::{Table, terminal_width},
};

/// Shows where a request stands.
pub(crate) async fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    if args.json {
        print_json(&client.request_json(args.id).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = client.request(args.id, Duration::ZERO).await?;
    print_request(&client, &request).await?;
    Ok(ExitCode::SUCCESS)
}

/// Writes where a request stands, and a line for each task that ended.
pub(crate) async fn print_request(client: &Client, request: &RequestAnswer) -> anyhow::Result<()> {
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
    print(format!("{}: {} ({})", request.id, request.status, parts.join(", ")))?;
    let outcomes = client.outcomes(request.id).await?;
    if outcomes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["image", "model", "outcome"]);
    for outcome in &outcomes {
        let image = outcome.image.id.as_deref().unwrap_or(&outcome.image.url);
        table.add([image, outcome.model.as_str(), &show::ending(&outcome.ending)]);
    }
    Ok(print(table.draw(terminal_width()))?)
}
