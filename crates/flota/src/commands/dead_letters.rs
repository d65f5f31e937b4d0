use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::{
    cli::{DeadLettersCommand, DiscardArgs, ListArgs, ReplayArgs, ShowArgs},
    client::{Client, DeadLetterAnswer, DeadLetterQuery},
    print::{plain, print, print_json},
    table::{Table, terminal_width},
};

/// Looks at dead letters, runs them again or gives them up.
pub(crate) async fn dead_letters(command: DeadLettersCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeadLettersCommand::List(args) => list(args).await,
        DeadLettersCommand::Show(args) => show_one(args).await,
        DeadLettersCommand::Replay(args) => replay(args).await,
        DeadLettersCommand::Discard(args) => discard(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let query = DeadLetterQuery {
        model: args.model,
        reason: args.reason,
        decided: args.all,
        ..Default::default()
    };
    let letters = client.dead_letters(query).await?;
    if args.json {
        print_json(&json!({ "dead_letters": letters }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() {
        print("no dead letters")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["id", "of", "reason", "attempts", "since", "state"]);
    for letter in &letters {
        table.add([
            letter.id.clone(),
            subject(letter),
            letter.reason.clone(),
            letter.attempts.to_string(),
            letter.created_at.to_string(),
            letter.state.clone(),
        ]);
    }
    print(table.draw(terminal_width()))?;
    Ok(ExitCode::SUCCESS)
}

async fn show_one(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let letter = Client::new(args.server.url).dead_letter(&args.id).await?;
    match args.json {
        true => print_json(&letter)?,
        false => print(format!("{letter:#}"))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let Some(id) = args.id else {
        let query =
            DeadLetterQuery { model: args.model, reason: args.reason, ..Default::default() };
        return replay_chosen(&client, query, args.dry_run, args.json).await;
    };
    if args.dry_run {
        let letter = client.dead_letter(&id).await?;
        let state = letter["state"].as_str().unwrap_or("unknown");
        print(format!("{id} would run again; it is {state}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.replay(&id).await?;
    match args.json {
        true => print_json(&answer)?,
        false => print(format!("{id} runs again, in round {}", answer["replay_round"]))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay_chosen(
    client: &Client,
    mut query: DeadLetterQuery,
    dry_run: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (mut replayed, mut skipped) = (Vec::new(), Vec::new());
    loop {
        let page = client.replay_some(&query, dry_run).await?;
        replayed.extend(page.replayed);
        skipped.extend(page.skipped);
        query.after = page.next_after;
        if query.after.is_none() {
            break;
        }
    }
    if json {
        print_json(&json!({ "replayed": replayed, "skipped": skipped }))?;
    } else {
        let verb = if dry_run { "would run again" } else { "runs again" };
        for one in &replayed {
            print(format!("{} {verb}", plain(text(one, "id"))))?;
        }
        for one in &skipped {
            print(format!("{} is left: {}", plain(text(one, "id")), plain(text(one, "code"))))?;
        }
    }
    Ok(if skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

async fn discard(args: DiscardArgs) -> anyhow::Result<ExitCode> {
    let answer = Client::new(args.server.url).discard(&args.id).await?;
    match args.json {
        true => print_json(&answer)?,
        false => print(format!("{} is given up", args.id))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn subject(letter: &DeadLetterAnswer) -> String {
    match letter.rest.contains_key("task") {
        true => format!("{}: {}", text(&letter.rest, "model"), text(&letter.rest, "image")),
        false => format!("a message on {}", text(&letter.rest, "queue")),
    }
}
