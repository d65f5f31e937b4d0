use std::process::ExitCode;

use crate::{
    cli::ModelsArgs,
    client::Client,
    print::{print, print_json},
    table::{Table, terminal_width},
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
        print("no model is known yet: a worker makes its model known when it starts")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["model", "version", "worker", "alive", "waiting", "in hand"]);
    for model in &models {
        table.add([
            model.name.to_string(),
            model.version.to_string(),
            model.worker.to_string(),
            model.workers_alive.to_string(),
            (model.queue.ready + model.queue.delayed).to_string(),
            model.queue.in_flight.to_string(),
        ]);
    }
    print(table.draw(terminal_width()))?;
    Ok(ExitCode::SUCCESS)
}
