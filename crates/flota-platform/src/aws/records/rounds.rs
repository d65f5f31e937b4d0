//! Rounds as items, each with the callback that finishing it makes: one update then marks the
//! round, makes the callback, and moves the item in the index of what is due.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use flota_core::{Counts, Pack, PackKey, PortError, PortResult, Round, RoundKey, ports::Finish};
use jiff::Timestamp;

use super::{
    callbacks,
    columns::{
        Item, damaged, document, item, nanos, number, read_document, read_number, read_time,
    },
    due::{DUE_AT, Kind, due},
    keys::{WRITTEN_BY, last_number, request_of, round_key},
    table::{Change, Table, Written},
};

const REPLAYED: &str = "replayed_tasks";
const COMPLETE: &str = "complete_packs";
const OPENED_AT: &str = "opened_at";
const FINISHED_AT: &str = "finished_at";
/// How many tasks of the complete packs ended how. A round that an earlier version began has none.
const SUCCEEDED: &str = "succeeded_count";
const FAILED: &str = "failed_count";
const EXPIRED: &str = "expired_count";
const CANCELED: &str = "canceled_count";

/// The item of an open round that is due.
pub(super) fn open_item(
    round: &Round,
    due_at: Timestamp,
    writer: &AttributeValue,
) -> PortResult<Item> {
    let mut item = round_key(round.key);
    item.extend(due(Kind::Round, round.key.request, due_at));
    item.insert(OPENED_AT.to_owned(), nanos(round.opened_at));
    item.insert(WRITTEN_BY.to_owned(), writer.clone());
    if let Some(replayed) = &round.replayed {
        item.insert(REPLAYED.to_owned(), document(replayed)?);
    }
    Ok(item)
}

/// The round of an item.
pub(super) fn read(item: &Item) -> PortResult<Round> {
    let finished_at = read_time(item, FINISHED_AT)?;
    Ok(Round {
        key: RoundKey { request: request_of(item)?, round: last_number(item)? },
        replayed: item.contains_key(REPLAYED).then(|| read_document(item, REPLAYED)).transpose()?,
        complete: complete(item)?,
        // Of a finished round it is the callback that is due.
        due_at: if finished_at.is_none() { read_time(item, DUE_AT)? } else { None },
        opened_at: read_time(item, OPENED_AT)?.ok_or_else(|| damaged(OPENED_AT, "missing"))?,
        finished_at,
    })
}

fn complete(item: &Item) -> PortResult<BTreeSet<u32>> {
    let Some(AttributeValue::Ns(packs)) = item.get(COMPLETE) else { return Ok(BTreeSet::new()) };
    let packs: Result<_, _> = packs.iter().map(|pack| pack.parse()).collect();
    packs.map_err(|error| damaged(COMPLETE, error))
}

/// The complete packs of a round, and how their tasks ended, of `packs`, which are all that it runs. `None` where the
/// round does not say it of each of them: an earlier version wrote it. One read unit.
pub(super) async fn ended(
    table: &Table,
    key: RoundKey,
    packs: &[Pack],
) -> PortResult<Option<(BTreeSet<u32>, Counts)>> {
    let item = table.get("reading how far a round is", round_key(key)).await?;
    let item = item.ok_or_else(|| missing(key))?;
    let complete = complete(&item)?;
    let count = |name| Ok::<u32, PortError>(read_number(&item, name)?.unwrap_or(0));
    let mut counts = Counts {
        succeeded: count(SUCCEEDED)?,
        failed: count(FAILED)?,
        expired: count(EXPIRED)?,
        canceled: count(CANCELED)?,
        ..Counts::default()
    };
    counts.total = counts.ended();
    let counted = packs.iter().filter(|pack| complete.contains(&pack.index));
    let task_count: usize = counted.map(|pack| pack.tasks.len()).sum();
    Ok((task_count == counts.total as usize).then_some((complete, counts)))
}

/// Whether the item is of a round that is finished.
pub(super) fn is_finished(item: &Item) -> bool {
    item.contains_key(FINISHED_AT)
}

/// Adds a pack to the complete ones, and what its tasks ended as to the counts, once. One write unit.
pub(super) async fn complete_pack(table: &Table, key: PackKey, ended: Counts) -> PortResult<Round> {
    let counts = [
        (SUCCEEDED, ended.succeeded),
        (FAILED, ended.failed),
        (EXPIRED, ended.expired),
        (CANCELED, ended.canceled),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let mut add = "ADD complete_packs :packs".to_owned();
    counts.clone().for_each(|(name, _)| add.push_str(&format!(", {name} :{name}")));
    let mut change = Change::of(round_key(key.round), add)
        .only_if("attribute_exists(opened_at) AND NOT contains(complete_packs, :pack)")
        .value(":packs", AttributeValue::Ns(vec![key.pack.to_string()]))
        .value(":pack", number(key.pack))
        .returning(ReturnValue::AllNew);
    for (name, count) in counts {
        change = change.value(&format!(":{name}"), number(count));
    }
    match table.change("completing a pack", change).await? {
        // Refused: it was complete before.
        Written::Done(item) | Written::Refused(Some(item)) => read(&item),
        Written::Refused(None) => Err(missing(key.round)),
    }
}

/// Marks the round finished and makes its callback. One write unit, and one for the index; with a
/// callback two for the index.
pub(super) async fn finish(table: &Table, finish: &Finish) -> PortResult<bool> {
    let mut values = item([(FINISHED_AT, nanos(finish.at))]);
    if let Some(callback) = &finish.callback {
        values.extend(callbacks::attributes(callback)?);
    }
    let mut set: Vec<String> = values.keys().map(|name| format!("{name} = :{name}")).collect();
    set.sort();
    let mut expression = format!("SET {}", set.join(", "));
    if !values.contains_key(DUE_AT) {
        expression.push_str(" REMOVE due_at, due_from, due_shard");
    }
    let mut change = Change::of(round_key(finish.key), expression)
        .only_if("attribute_exists(opened_at) AND attribute_not_exists(finished_at)");
    for (name, value) in values {
        change = change.value(&format!(":{name}"), value);
    }
    match table.change("finishing a round", change).await? {
        Written::Done(_) => Ok(true),
        Written::Refused(Some(_)) => Ok(false),
        Written::Refused(None) => Err(missing(finish.key)),
    }
}

/// Makes an open round due. One write unit where it is due later than the index has it: the sweeper
/// moves it there, should it come by before the round is finished. Else four.
pub(super) async fn set_due(table: &Table, key: RoundKey, due_at: Timestamp) -> PortResult<()> {
    const SETTING: &str = "setting when a round is due";
    let later = Change::of(round_key(key), "SET due_at = :due_at")
        .only_if("attribute_not_exists(finished_at) AND due_from <= :due_at")
        .value(":due_at", nanos(due_at));
    match table.change(SETTING, later).await? {
        Written::Done(_) => return Ok(()),
        Written::Refused(None) => return Err(missing(key)),
        Written::Refused(Some(item)) if is_finished(&item) => return Ok(()),
        Written::Refused(Some(_)) => {}
    }
    let earlier = Change::of(round_key(key), "SET due_at = :due_at, due_from = :due_at")
        .only_if("attribute_exists(opened_at) AND attribute_not_exists(finished_at)")
        .value(":due_at", nanos(due_at));
    table.change(SETTING, earlier).await.map(drop)
}

fn missing(key: RoundKey) -> PortError {
    let why = format!("{} has no round {}", key.request, key.round);
    PortError::permanent("changing a round", why)
}
