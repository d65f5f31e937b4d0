//! Rounds as items, each with the callback that finishing it makes: one update then marks the
//! round, makes the callback, and moves the item in the index of what is due.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use flota_core::{PackKey, PortError, PortResult, Round, RoundKey, ports::Finish};
use jiff::Timestamp;

use super::{
    callbacks,
    columns::{Item, damaged, document, item, nanos, read_document, read_time},
    due::{DUE_AT, Kind, due},
    keys::{WRITTEN_BY, last_number, request_of, round_key},
    table::{Change, Table, Written},
};

const REPLAYED: &str = "replayed_tasks";
const COMPLETE: &str = "complete_packs";
const OPENED_AT: &str = "opened_at";
const FINISHED_AT: &str = "finished_at";

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
    let complete = match item.get(COMPLETE) {
        Some(AttributeValue::Ns(packs)) => packs.iter().map(|pack| pack.parse()).collect(),
        _ => Ok(Default::default()),
    };
    let finished_at = read_time(item, FINISHED_AT)?;
    Ok(Round {
        key: RoundKey { request: request_of(item)?, round: last_number(item)? },
        replayed: item.contains_key(REPLAYED).then(|| read_document(item, REPLAYED)).transpose()?,
        complete: complete.map_err(|error| damaged(COMPLETE, error))?,
        // Of a finished round it is the callback that is due.
        due_at: if finished_at.is_none() { read_time(item, DUE_AT)? } else { None },
        opened_at: read_time(item, OPENED_AT)?.ok_or_else(|| damaged(OPENED_AT, "missing"))?,
        finished_at,
    })
}

/// Whether the item is of a round that is finished.
pub(super) fn is_finished(item: &Item) -> bool {
    item.contains_key(FINISHED_AT)
}

/// Adds a pack to the complete ones. One write unit.
pub(super) async fn complete_pack(table: &Table, key: PackKey) -> PortResult<Round> {
    let pack = AttributeValue::Ns(vec![key.pack.to_string()]);
    let change = Change::of(round_key(key.round), "ADD complete_packs :pack")
        .only_if("attribute_exists(opened_at)")
        .value(":pack", pack)
        .returning(ReturnValue::AllNew);
    match table.change("completing a pack", change).await? {
        Written::Done(item) => read(&item),
        Written::Refused(_) => Err(missing(key.round)),
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
