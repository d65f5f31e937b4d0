//! Packs as items: an attribute for each outcome, named by the task's number.

use std::collections::{BTreeMap, btree_map::Entry};

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, ReturnValue},
};
use flota_core::{PackKey, PackRecord, PortResult, Resend, RoundKey, TaskOutcome, ports::Recorded};

use super::{
    batches::Query,
    columns::{Item, item, nanos, number, read_number, read_time, text},
    keys::{last_number, pack_key, packs_prefix},
    outcomes::{decode, encode},
    table::{Change, Table, Written},
};

/// What the names of the outcomes' attributes begin with.
const TASK: &str = "t";
/// The number of the last copy that the sweeper sent, and when.
const COPY: &str = "copy_number";
const COPIED_AT: &str = "copied_at";

/// What is recorded of a pack.
pub(super) async fn pack(table: &Table, key: PackKey) -> PortResult<PackRecord> {
    let item = table.get("reading a pack", pack_key(key)).await?;
    item.as_ref().map_or_else(|| Ok(PackRecord::default()), read)
}

/// What is recorded of a round's packs.
pub(super) async fn packs(table: &Table, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>> {
    let values = item([
        (":request", text(key.request.to_string())),
        (":packs", text(packs_prefix(key.round))),
    ]);
    let condition = "request_id = :request AND begins_with(item_key, :packs)";
    let items = table.query("reading a round's packs", Query::all(condition, values)).await?;
    items.iter().map(|item| Ok((last_number(item)?, read(item)?))).collect()
}

/// Sets each outcome that is absent. One write unit for each kilobyte of the pack, which is two for
/// twenty successes.
pub(super) async fn record(
    table: &Table,
    key: PackKey,
    outcomes: &[TaskOutcome],
    expiry: Option<AttributeValue>,
) -> PortResult<Recorded> {
    if outcomes.is_empty() {
        return Ok(Recorded { pack: pack(table, key).await?, set: Vec::new() });
    }
    let mut values = BTreeMap::new();
    for TaskOutcome { n, outcome } in outcomes {
        if let Entry::Vacant(entry) = values.entry(*n) {
            entry.insert(encode(outcome)?);
        }
    }
    let mut set: Vec<String> = values
        .keys()
        .map(|n| format!("{TASK}{n} = if_not_exists({TASK}{n}, :{TASK}{n})"))
        .collect();
    set.extend(expiry.iter().map(|_| "expires_at = :expiry".to_owned()));
    let mut change =
        Change::of(pack_key(key), format!("SET {}", set.join(", "))).returning(ReturnValue::AllOld);
    let mut written = Vec::new();
    for (n, bytes) in values {
        written.push(TaskOutcome { n, outcome: decode(&bytes)? });
        change = change.value(&format!(":{TASK}{n}"), AttributeValue::B(Blob::new(bytes)));
    }
    if let Some(expiry) = expiry {
        change = change.value(":expiry", expiry);
    }
    match table.change("recording outcomes", change).await? {
        // What the pack was before, and what was absent from it: that is what it is now.
        Written::Done(old) => {
            let mut pack = read(&old)?;
            let set = pack.set_absent(&written);
            Ok(Recorded { pack, set })
        }
        Written::Refused(_) => unreachable!("there is no condition"),
    }
}

/// Notes a copy, unless a later one is noted. One write unit for each kilobyte of the pack.
pub(super) async fn set_resent(
    table: &Table,
    key: PackKey,
    resend: Resend,
    expiry: Option<AttributeValue>,
) -> PortResult<()> {
    let set = if expiry.is_some() { ", expires_at = :expiry" } else { "" };
    let set = format!("SET copy_number = :copy, copied_at = :at{set}");
    let mut change = Change::of(pack_key(key), set)
        .only_if("attribute_not_exists(copy_number) OR copy_number < :copy")
        .value(":copy", number(resend.copy))
        .value(":at", nanos(resend.sent_at));
    if let Some(expiry) = expiry {
        change = change.value(":expiry", expiry);
    }
    table.change("noting a copy", change).await.map(drop)
}

fn read(item: &Item) -> PortResult<PackRecord> {
    let mut record = PackRecord::default();
    if let (Some(copy), Some(sent_at)) = (read_number(item, COPY)?, read_time(item, COPIED_AT)?) {
        record.resent = Some(Resend { copy, sent_at });
    }
    for (name, value) in item {
        let n = name.strip_prefix(TASK).and_then(|n| n.parse().ok());
        if let (Some(n), AttributeValue::B(bytes)) = (n, value) {
            record.outcomes.insert(n, decode(bytes.as_ref())?);
        }
    }
    Ok(record)
}
