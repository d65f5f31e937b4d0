//! Rounds and packs as rows of `records.sqlite`.

use std::collections::BTreeMap;

use flota_core::{
    Counts, Pack, PackKey, PackRecord, PortError, Resend, Round, RoundKey, TaskOutcome,
    ports::Finish,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    callbacks,
    columns::{at_most, blob, json, nanos, record, time},
    error::Fault,
};

/// Keeps a new round.
pub(super) fn insert(connection: &Connection, round: &Round) -> Result<(), Fault> {
    let replayed = round.replayed.as_ref().map(json).transpose()?;
    connection
        .prepare_cached(
            "INSERT INTO rounds (request, round, replayed, due_at, opened_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            blob(round.key.request),
            round.key.round,
            replayed,
            round.due_at.map(nanos),
            nanos(round.opened_at)
        ])?;
    Ok(())
}

/// The round, if there is one.
pub(super) fn find(connection: &Connection, key: RoundKey) -> Result<Option<Round>, Fault> {
    let id = params![blob(key.request), key.round];
    let mut select = connection.prepare_cached(
        "SELECT replayed, due_at, opened_at, finished_at FROM rounds
         WHERE request = ?1 AND round = ?2",
    )?;
    let mut rows = select.query(id)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let has_all_tasks = row.get_ref(0)? == rusqlite::types::ValueRef::Null;
    let mut packs = connection
        .prepare_cached("SELECT pack FROM complete_packs WHERE request = ?1 AND round = ?2")?;
    let complete = packs.query_map(id, |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Some(Round {
        key,
        replayed: if has_all_tasks { None } else { Some(record(row, 0)?) },
        complete,
        due_at: row.get::<_, Option<i64>>(1)?.map(time),
        opened_at: time(row.get(2)?),
        finished_at: row.get::<_, Option<i64>>(3)?.map(time),
    }))
}

/// The round, or an error that says that there is none.
pub(super) fn get(connection: &Connection, key: RoundKey) -> Result<Round, Fault> {
    find(connection, key)?.ok_or_else(|| missing(key))
}

/// The number of the request's last round.
pub(super) fn last(connection: &Connection, request: [u8; 16]) -> Result<Option<u32>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT round FROM rounds WHERE request = ?1 ORDER BY round DESC LIMIT 1",
    )?;
    Ok(select.query_row([request], |row| row.get(0)).optional()?)
}

/// Adds a pack to the complete ones.
pub(super) fn complete_pack(connection: &Connection, key: PackKey) -> Result<Round, Fault> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO complete_packs (request, round, pack) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![blob(key.round.request), key.round.round, key.pack])?;
    get(connection, key.round)
}

/// Marks the round finished and makes its callback, each if absent.
pub(super) fn finish(connection: &Connection, finish: &Finish) -> Result<bool, Fault> {
    let marked = connection
        .prepare_cached(
            "UPDATE rounds SET finished_at = ?3, due_at = NULL
             WHERE request = ?1 AND round = ?2 AND finished_at IS NULL",
        )?
        .execute(params![blob(finish.key.request), finish.key.round, nanos(finish.at)])?;
    if marked == 0 {
        get(connection, finish.key)?;
    }
    if let Some(callback) = &finish.callback {
        callbacks::insert_absent(connection, callback)?;
    }
    Ok(marked > 0)
}

/// Makes an open round due.
pub(super) fn set_due(
    connection: &Connection,
    key: RoundKey,
    due_at: Timestamp,
) -> Result<(), Fault> {
    let changed = connection
        .prepare_cached(
            "UPDATE rounds SET due_at = ?3
             WHERE request = ?1 AND round = ?2 AND finished_at IS NULL",
        )?
        .execute(params![blob(key.request), key.round, nanos(due_at)])?;
    if changed == 0 {
        get(connection, key)?;
    }
    Ok(())
}

/// The rounds that are due at `now`, the longest due first.
pub(super) fn overdue(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<RoundKey>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT request, round FROM rounds WHERE due_at <= ?1
         ORDER BY due_at, request, round LIMIT ?2",
    )?;
    let keys = select.query_map(params![nanos(now), at_most(limit)], |row| {
        let request = flota_core::RequestId(uuid::Uuid::from_bytes(row.get(0)?));
        Ok(RoundKey { request, round: row.get(1)? })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Sets the outcomes that are absent and returns the numbers of those that it set.
pub(super) fn record_absent(
    connection: &Connection,
    key: PackKey,
    outcomes: &[TaskOutcome],
) -> Result<Vec<u32>, Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO outcomes (request, round, pack, n, record)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut set = Vec::new();
    for TaskOutcome { n, outcome } in outcomes {
        let row = params![blob(key.round.request), key.round.round, key.pack, n, json(outcome)?];
        if insert.execute(row)? > 0 {
            set.push(*n);
        }
    }
    Ok(set)
}

/// What is recorded of a round's packs, or of one of them.
pub(super) fn packs(
    connection: &Connection,
    key: RoundKey,
    pack: Option<u32>,
) -> Result<BTreeMap<u32, PackRecord>, Fault> {
    let (first, last) = pack.map_or((0, u32::MAX), |pack| (pack, pack));
    let mut select = connection.prepare_cached(
        "SELECT pack, n, record FROM outcomes
         WHERE request = ?1 AND round = ?2 AND pack BETWEEN ?3 AND ?4",
    )?;
    let mut rows = select.query(params![blob(key.request), key.round, first, last])?;
    let mut packs = BTreeMap::<u32, PackRecord>::new();
    while let Some(row) = rows.next()? {
        packs.entry(row.get(0)?).or_default().outcomes.insert(row.get(1)?, record(row, 2)?);
    }
    let mut select = connection.prepare_cached(
        "SELECT pack, copy, sent_at FROM resends
         WHERE request = ?1 AND round = ?2 AND pack BETWEEN ?3 AND ?4",
    )?;
    let mut rows = select.query(params![blob(key.request), key.round, first, last])?;
    while let Some(row) = rows.next()? {
        let resend = Resend { copy: row.get(1)?, sent_at: time(row.get(2)?) };
        packs.entry(row.get(0)?).or_default().resent = Some(resend);
    }
    Ok(packs)
}

/// The outcomes that are recorded of the tasks of `packs`, by number. One statement for each pack, and its rows alone.
pub(super) fn outcomes(
    connection: &Connection,
    key: RoundKey,
    packs: &[Pack],
) -> Result<Vec<TaskOutcome>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT n, record FROM outcomes
         WHERE request = ?1 AND round = ?2 AND pack = ?3 AND n BETWEEN ?4 AND ?5",
    )?;
    let mut outcomes = Vec::new();
    for Pack { index, tasks, .. } in packs {
        let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else { continue };
        let mut rows = select.query(params![blob(key.request), key.round, index, first, last])?;
        while let Some(row) = rows.next()? {
            let n = row.get(0)?;
            if tasks.contains(&n) {
                outcomes.push(TaskOutcome { n, outcome: record(row, 1)? });
            }
        }
    }
    outcomes.sort_by_key(|outcome| outcome.n);
    Ok(outcomes)
}

/// How many of the `total` tasks of a round stand where. The file counts, and no outcome leaves it.
pub(super) fn counts(connection: &Connection, key: RoundKey, total: u32) -> Result<Counts, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT record ->> '$.outcome', count(*) FROM outcomes
         WHERE request = ?1 AND round = ?2 GROUP BY 1",
    )?;
    let mut counts = Counts { total, ..Counts::default() };
    let mut rows = select.query(params![blob(key.request), key.round])?;
    while let Some(row) = rows.next()? {
        let count: u32 = row.get(1)?;
        match row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)? {
            "succeeded" => counts.succeeded += count,
            "failed" => counts.failed += count,
            "expired" => counts.expired += count,
            "canceled" => counts.canceled += count,
            other => {
                let why = format!("an outcome is `{other}`");
                return Err(PortError::permanent("counting outcomes", why).into());
            }
        }
    }
    counts.open = total.saturating_sub(counts.ended());
    Ok(counts)
}

/// Notes a copy, unless a later one is noted.
pub(super) fn set_resent(
    connection: &Connection,
    key: PackKey,
    resend: Resend,
) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO resends (request, round, pack, copy, sent_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET copy = excluded.copy, sent_at = excluded.sent_at
         WHERE excluded.copy > copy",
    )?;
    let PackKey { round, pack } = key;
    let sent_at = nanos(resend.sent_at);
    insert.execute(params![blob(round.request), round.round, pack, resend.copy, sent_at])?;
    Ok(())
}

fn missing(key: RoundKey) -> Fault {
    let why = format!("{} has no round {}", key.request, key.round);
    PortError::permanent("changing a round", why).into()
}
