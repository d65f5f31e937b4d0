//! Packs as items: an attribute for each outcome, named by the task's number.

use std::collections::{BTreeMap, btree_map::Entry};

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, ReturnValue},
};
use flota_core::{
    Counts, Pack, PackKey, PackRecord, PortResult, Resend, RoundKey, TaskOutcome, ports::Recorded,
};

use super::{
    batches::Query,
    columns::{Item, item, nanos, number, read_number, read_time, text},
    keys::{last_number, pack_key, pack_sort, packs_prefix},
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

/// The records of those of a round's `packs` that have one, by their index. A query for each run of packs that follow
/// each other: one read unit for each four kilobytes of it, which is two packs of twenty successes.
async fn some(
    table: &Table,
    key: RoundKey,
    packs: &[Pack],
) -> PortResult<BTreeMap<u32, PackRecord>> {
    let mut indexes: Vec<u32> = packs.iter().map(|pack| pack.index).collect();
    indexes.sort_unstable();
    let mut records = BTreeMap::new();
    for run in indexes.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
        let sort = |index: Option<&u32>| {
            let pack = *index.expect("a run has an index");
            text(pack_sort(PackKey { round: key, pack }))
        };
        let values = item([
            (":request", text(key.request.to_string())),
            (":first", sort(run.first())),
            (":last", sort(run.last())),
        ]);
        let condition = "request_id = :request AND item_key BETWEEN :first AND :last";
        for item in table.query("reading packs", Query::all(condition, values)).await? {
            records.insert(last_number(&item)?, read(&item)?);
        }
    }
    Ok(records)
}

/// The outcomes that are recorded of the tasks of `packs`, by number.
pub(super) async fn outcomes(
    table: &Table,
    key: RoundKey,
    packs: &[Pack],
) -> PortResult<Vec<TaskOutcome>> {
    let mut records = some(table, key, packs).await?;
    let mut outcomes = Vec::new();
    for pack in packs {
        let Some(record) = records.get_mut(&pack.index) else { continue };
        for n in &pack.tasks {
            let outcome = record.outcomes.remove(n);
            outcomes.extend(outcome.map(|outcome| TaskOutcome { n: *n, outcome }));
        }
    }
    outcomes.sort_by_key(|outcome| outcome.n);
    Ok(outcomes)
}

/// How many tasks of `packs` stand where, by what is recorded of each.
pub(super) async fn counts(table: &Table, key: RoundKey, packs: &[Pack]) -> PortResult<Counts> {
    let records = some(table, key, packs).await?;
    let mut counts = Counts::default();
    for pack in packs {
        let record = records.get(&pack.index);
        counts += record.unwrap_or(&PackRecord::default()).counts(pack);
    }
    Ok(counts)
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
