use std::{collections::BTreeMap, ops::Deref, process::ExitCode};

use flota_client::{
    Client, DeadLetterGroups, DeadLetterView, MessageDeadLetter, TaskDeadLetter, UploadDeadLetter,
};

use crate::{
    cli::{GroupsArgs, ListArgs, ReplaysArgs, ShowArgs},
    print::{print, print_json},
    table::{Table, terminal_width},
    times,
};

pub(super) async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let limit = args.limit.unwrap_or(usize::MAX);
    let letters = client.dead_letters(&args.selection.conditions(), args.all, limit).await?;
    if args.json {
        print_json(&BTreeMap::from([("dead_letters", &letters)]))?;
    } else if letters.is_empty() {
        print("no dead letters")?;
    } else {
        print(letters_table(letters.iter().map(Deref::deref)))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn groups(args: GroupsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let groups = client.dead_letter_groups(&args.selection.conditions(), args.all).await?;
    match args.json {
        true => print_json(&groups)?,
        false => print(groups_text(&groups))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show_one(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let letter = Client::new(args.server.url).dead_letter(&args.id).await?;
    match args.json {
        true => print_json(&letter)?,
        false => print(format!("{:#}", serde_json::to_value(&letter)?))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn replays(args: ReplaysArgs) -> anyhow::Result<ExitCode> {
    let replays = Client::new(args.server.url).replays(args.model.as_ref()).await?;
    if args.json {
        print_json(&BTreeMap::from([("replays", &replays)]))?;
        return Ok(ExitCode::SUCCESS);
    }
    if replays.is_empty() {
        print("no replays")?;
        return Ok(ExitCode::SUCCESS);
    }
    let headings =
        ["id", "model", "by", "since", "state", "succeeded", "failed", "skipped", "running"];
    let mut table = Table::new(&headings);
    for replay in &replays {
        let counts = &replay.counts;
        let state = match &replay.why {
            Some(why) => format!("{}: {why}", replay.state),
            None => replay.state.to_string(),
        };
        table.add([
            replay.id.to_string(),
            replay.model.to_string(),
            replay.by.clone(),
            times::shown(replay.created_at),
            state,
            counts.succeeded.to_string(),
            counts.failed.to_string(),
            counts.skipped.to_string(),
            counts.running.to_string(),
        ]);
    }
    print(table.draw(terminal_width()))?;
    Ok(ExitCode::SUCCESS)
}

/// Dead letters as a table.
pub(super) fn letters_table<'a>(letters: impl IntoIterator<Item = &'a DeadLetterView>) -> String {
    let mut table = Table::new(&["id", "of", "reason", "attempts", "since", "state", "last error"]);
    for letter in letters {
        let facts = letter.facts();
        table.add([
            facts.id.clone(),
            subject(letter),
            facts.reason.to_string(),
            facts.attempts.to_string(),
            times::shown(facts.created_at),
            facts.state.to_string(),
            facts.message.clone(),
        ]);
    }
    table.draw(terminal_width())
}

/// Groups as a table, with their sum.
pub(super) fn groups_text(groups: &DeadLetterGroups) -> String {
    if groups.groups.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut table = Table::new(&["model", "reason", "count", "oldest", "newest", "last error"]);
    for group in &groups.groups {
        table.add([
            group.model.as_ref().map_or_else(|| "(no task)".to_owned(), ToString::to_string),
            group.reason.to_string(),
            group.count.to_string(),
            times::shown(group.oldest_at),
            times::shown(group.newest_at),
            group.message.clone(),
        ]);
    }
    let more = if groups.complete { "" } else { " or more" };
    format!("{}\n{}{more} in total", table.draw(terminal_width()), groups.count)
}

fn subject(letter: &DeadLetterView) -> String {
    match letter {
        DeadLetterView::Task(TaskDeadLetter { model, image, .. })
        | DeadLetterView::Upload(UploadDeadLetter { model, image, .. }) => {
            format!("{model}: {image}")
        }
        DeadLetterView::Message(MessageDeadLetter { queue, .. }) => format!("a message on {queue}"),
    }
}
