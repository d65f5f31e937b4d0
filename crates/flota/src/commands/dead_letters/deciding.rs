use std::process::ExitCode;

use anyhow::bail;
use flota_client::{Client, DeadLetterView, ReplayBody};
use flota_core::DeadLetterSelection;
use serde_json::json;

use super::{
    following::{follow, summary},
    looking::{groups_text, letters_table},
};
use crate::{
    cli::{DiscardArgs, ReplayArgs, StopArgs},
    print::{note, print, print_json},
    show::count,
};

pub(super) async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let selection = args.selection.conditions();
    if let Some(id) = args.id {
        refuse_both(&selection)?;
        return replay_one(&client, &id, &args.person.name, args.dry_run, args.json).await;
    }
    let order = ReplayBody {
        limit: args.limit,
        rate_per_second: args.rate,
        to_version: args.to_version,
        by: Some(args.person.name),
        ..ReplayBody::from(selection)
    };
    if args.dry_run {
        return dry_run(&client, &order, args.json).await;
    }
    let total = client.dry_run(&order).await?.groups.count;
    let replay = client.start_replay(&order).await?;
    if args.detach {
        match args.json {
            true => print_json(&replay)?,
            false => print(format!("{0}: see `flota dead-letters watch {0}`", replay.id))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let total = order.limit.map_or(total, |limit| total.min(limit.into()));
    follow(&client, replay, Some(total), args.json).await
}

async fn replay_one(
    client: &Client,
    id: &str,
    by: &str,
    is_dry: bool,
    is_json: bool,
) -> anyhow::Result<ExitCode> {
    let answer = client.replay_one(id, by, is_dry).await?;
    match is_json {
        true => print_json(&answer)?,
        false if is_dry => print(format!("{id} would run again"))?,
        false if matches!(*answer, DeadLetterView::Message(_)) => {
            print(format!("{id} was sent again"))?
        }
        false => {
            let round = answer.facts().replay_round.unwrap_or_default();
            print(format!("{id} runs again in round {round}"))?
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn dry_run(client: &Client, order: &ReplayBody, is_json: bool) -> anyhow::Result<ExitCode> {
    let answer = client.dry_run(order).await?;
    if is_json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(groups_text(&answer.groups))?;
    if !answer.sample.is_empty() {
        print(format!("first dead letters:\n{}", letters_table(&answer.sample)))?;
    }
    for letter in &answer.sample {
        let facts = letter.facts();
        if let Some(refusal) = &facts.refusal {
            print(format!("{} could not run now: {refusal}", facts.id))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn stop(args: StopArgs) -> anyhow::Result<ExitCode> {
    let replay = Client::new(args.server.url).stop_replay(args.id, &args.person.name).await?;
    match args.json {
        true => print_json(&replay)?,
        false => print(summary(&replay))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn discard(args: DiscardArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let selection = args.selection.conditions();
    if let Some(id) = args.id {
        refuse_both(&selection)?;
        let answer = client.discard_one(&id, &args.person.name).await?;
        match args.json {
            true => print_json(&answer)?,
            false => print(format!("{id} discarded"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    if selection == DeadLetterSelection::default() {
        bail!("name a dead letter or at least one filter");
    }
    if !args.yes {
        let groups = client.dead_letter_groups(&selection, false).await?;
        match args.json {
            true => print_json(&groups)?,
            false => print(groups_text(&groups))?,
        }
        note("nothing discarded: add --yes to discard these");
        return Ok(ExitCode::FAILURE);
    }
    let discarded_count = client.discard(&selection, &args.person.name).await?;
    match args.json {
        true => print_json(&json!({ "discarded_count": discarded_count }))?,
        false => {
            let number = usize::try_from(discarded_count).unwrap_or(usize::MAX);
            print(format!("{} discarded", count(number, "dead letter")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A dead letter is named, or some are described.
fn refuse_both(selection: &DeadLetterSelection) -> anyhow::Result<()> {
    if *selection != DeadLetterSelection::default() {
        bail!("ID and filters exclude each other: omit one of them");
    }
    Ok(())
}
