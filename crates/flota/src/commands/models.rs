use std::process::ExitCode;

use crate::{
    cli::ModelsArgs,
    client::{BacklogAnswer, Client},
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
    let mut table = Table::new(&[
        "model", "version", "worker", "alive", "tasks", "oldest s", "arrive/s", "done/s", "drain s",
    ]);
    for model in &models {
        table.add([
            model.name.to_string(),
            model.version.to_string(),
            model.worker.to_string(),
            model.workers_alive.to_string(),
            of(&model.backlog, |backlog| Some(backlog.tasks.to_string())),
            of(&model.backlog, |backlog| Some(format!("{:.0}", backlog.oldest_age_seconds?))),
            of(&model.backlog, |backlog| Some(format!("{:.1}", backlog.arrival_per_second?))),
            of(&model.backlog, |backlog| Some(format!("{:.1}", backlog.service_per_second))),
            of(&model.backlog, |backlog| Some(format!("{:.0}", backlog.drain_seconds?))),
        ]);
    }
    print(table.draw(terminal_width()))?;
    Ok(ExitCode::SUCCESS)
}

/// A figure of a backlog, or that there is none.
fn of(
    backlog: &Option<BacklogAnswer>,
    figure: impl Fn(&BacklogAnswer) -> Option<String>,
) -> String {
    backlog.as_ref().and_then(figure).unwrap_or_else(|| "-".to_owned())
}
