//! What one transaction does to `queue.sqlite`.

use std::time::Duration;

use flota_core::{
    PackKey, PortResult,
    limits::MAX_LEASE,
    ports::{Backlog, Delivery, Depth, NewMessage, ReceiptHandle, queue_bounds::lost_lease},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    clock_jumps,
    columns::{blob, json, name, nanos, time},
    error::Fault,
};

/// How long until a message is visible, zero where one is; `None` where there is no message.
pub(super) fn next(
    connection: &Connection,
    queue: &str,
    now: Timestamp,
) -> Result<Option<Duration>, Fault> {
    // One min or max alone in its query is a look at one end of the index; two would read it all.
    let mut ends = connection.prepare_cached(
        "SELECT (SELECT min(visible_at) FROM messages WHERE queue = queues.id),
                (SELECT max(visible_at) FROM messages WHERE queue = queues.id)
         FROM queues WHERE name = ?1",
    )?;
    let ends: Option<(Option<i64>, Option<i64>)> =
        ends.query_row([queue], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((Some(first), Some(last))) = ends else { return Ok(None) };
    let now = nanos(now);
    if last > longest(now) || clock_jumps::is_back(connection, now)? {
        return Ok(Some(Duration::ZERO));
    }
    let wait = u64::try_from(first.saturating_sub(now)).unwrap_or(0);
    Ok(Some(Duration::from_nanos(wait)))
}

/// Puts messages on the queue, which is made if it is not there.
pub(super) fn send(
    connection: &Connection,
    queue: &str,
    messages: &[NewMessage],
    now: Timestamp,
) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO queues (name) VALUES (?1)")?
        .execute([queue])?;
    let queue_id: i64 = connection
        .prepare_cached("SELECT id FROM queues WHERE name = ?1")?
        .query_row([queue], |row| row.get(0))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO messages (queue, visible_at, receive_count) VALUES (?1, ?2, 0)",
    )?;
    let mut insert_body = connection.prepare_cached(
        "INSERT INTO bodies (message, sent_at, body, request, round, pack, tasks)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let now = nanos(now);
    clock_jumps::notice_in_queues(connection, now)?;
    for message in messages {
        insert.execute(params![queue_id, after(now, message.delay)])?;
        insert_body.execute(params![
            connection.last_insert_rowid(),
            now,
            message.body,
            message.pack.map(|pack| blob(pack.round.request)),
            message.pack.map(|pack| pack.round.round),
            message.pack.map(|pack| pack.pack),
            (!message.tasks.is_empty()).then(|| json(&message.tasks)).transpose()?
        ])?;
    }
    Ok(())
}

/// Leases up to `max` visible messages, those that were visible first first.
pub(super) fn take(
    connection: &Connection,
    queue: &str,
    max: usize,
    now: Timestamp,
    lease: Duration,
) -> Result<Vec<Delivery>, Fault> {
    let now = nanos(now);
    clock_jumps::notice_in_queues(connection, now)?;
    let mut taken = Vec::with_capacity(max);
    // What ends later than any lease can end was leased before the clock went back.
    for (from, to) in [(i64::MIN, now), (longest(now).saturating_add(1), i64::MAX)] {
        let mut visible = connection.prepare_cached(
            "SELECT id, receive_count, sent_at, body FROM messages JOIN bodies ON message = id
             WHERE queue = (SELECT id FROM queues WHERE name = ?1)
               AND visible_at BETWEEN ?2 AND ?3
             ORDER BY visible_at, receive_count, id LIMIT ?4",
        )?;
        let mut rows = visible.query(params![queue, from, to, max - taken.len()])?;
        while let Some(row) = rows.next()? {
            let (id, before): (i64, u32) = (row.get(0)?, row.get(1)?);
            let receive_count = before.saturating_add(1);
            let receipt = ReceiptHandle(format!("{id}.{receive_count}"));
            let sent_at = time(row.get(2)?);
            taken.push((id, Delivery { receipt, body: row.get(3)?, receive_count, sent_at }));
        }
        if taken.len() == max {
            break;
        }
    }
    let mut update = connection.prepare_cached(
        "UPDATE messages SET visible_at = ?2, receive_count = ?3, holder = ?4 WHERE id = ?1",
    )?;
    let holder = std::process::id();
    for (id, delivery) in &taken {
        update.execute(params![id, after(now, lease), delivery.receive_count, holder])?;
    }
    Ok(taken.into_iter().map(|(_, delivery)| delivery).collect())
}

/// What [`extend`] did.
pub(super) struct Extended {
    /// For each receipt.
    pub results: Vec<PortResult<()>>,
    /// Whether a message is visible earlier than it was to be.
    pub is_earlier: bool,
}

/// Sets the end of leases that have not ended.
pub(super) fn extend(
    connection: &Connection,
    queue: &str,
    receipts: &[ReceiptHandle],
    now: Timestamp,
    lease: Duration,
) -> Result<Extended, Fault> {
    let now = nanos(now);
    let end = after(now, lease);
    let mut find = connection.prepare_cached(
        "SELECT visible_at FROM messages
         WHERE id = ?2 AND receive_count = ?3 AND visible_at > ?4 AND visible_at <= ?5
           AND queue = (SELECT id FROM queues WHERE name = ?1)",
    )?;
    let mut update =
        connection.prepare_cached("UPDATE messages SET visible_at = ?2 WHERE id = ?1")?;
    let mut extended = Extended { results: Vec::new(), is_earlier: false };
    for receipt in receipts {
        let Some((id, receive_count)) = parse(receipt) else {
            extended.results.push(Err(lost_lease()));
            continue;
        };
        let before: Option<i64> = find
            .query_row(params![queue, id, receive_count, now, longest(now)], |row| row.get(0))
            .optional()?;
        match before {
            Some(before) => {
                update.execute([id, end])?;
                extended.is_earlier |= end < before;
                extended.results.push(Ok(()));
            }
            None => extended.results.push(Err(lost_lease())),
        }
    }
    Ok(extended)
}

/// Ends the leases that the process `holder` took, whatever the queue, and returns how many.
pub(super) fn end_leases(
    connection: &Connection,
    holder: u32,
    now: Timestamp,
) -> Result<usize, Fault> {
    let now = nanos(now);
    let ended = connection
        .prepare_cached(
            "UPDATE messages SET visible_at = ?2
             WHERE holder = ?1 AND receive_count > 0 AND visible_at > ?2
               AND id IN (SELECT m.id FROM queues JOIN messages AS m ON m.queue = queues.id
                          WHERE m.visible_at > ?2)",
        )?
        .execute(params![holder, now])?;
    Ok(ended)
}

/// Removes the messages whose latest deliveries these are.
pub(super) fn ack(
    connection: &Connection,
    queue: &str,
    receipts: &[ReceiptHandle],
) -> Result<(), Fault> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM messages WHERE id = ?2 AND receive_count = ?3
           AND queue = (SELECT id FROM queues WHERE name = ?1)",
    )?;
    let mut delete_body = connection.prepare_cached("DELETE FROM bodies WHERE message = ?1")?;
    for (id, receive_count) in receipts.iter().filter_map(parse) {
        if delete.execute(params![queue, id, receive_count])? > 0 {
            delete_body.execute([id])?;
        }
    }
    Ok(())
}

/// Counts the tasks of a queue's messages.
pub(super) fn backlog(connection: &Connection, queue: &str) -> Result<Backlog, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT model, tasks FROM backlog
         WHERE queue = (SELECT id FROM queues WHERE name = ?1) AND tasks > 0",
    )?;
    let tasks = select.query_and_then([queue], |row| {
        Ok::<_, Fault>((name(row, 0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
    })?;
    let tasks = tasks.collect::<Result<_, _>>()?;
    let mut oldest = connection.prepare_cached(
        "SELECT sent_at FROM messages JOIN bodies ON message = id
         WHERE queue = (SELECT id FROM queues WHERE name = ?1) ORDER BY visible_at LIMIT 1",
    )?;
    let oldest = oldest.query_row([queue], |row| row.get(0)).optional()?;
    Ok(Backlog { tasks, oldest_sent_at: oldest.map(time), is_exact: true })
}

/// Counts the messages.
pub(super) fn depth(connection: &Connection, queue: &str, now: Timestamp) -> Result<Depth, Fault> {
    let now = nanos(now);
    let mut count = connection.prepare_cached(
        "SELECT count(*) FILTER (WHERE visible_at NOT BETWEEN ?2 AND ?3),
                count(*) FILTER (WHERE visible_at BETWEEN ?2 AND ?3 AND receive_count > 0),
                count(*) FILTER (WHERE visible_at BETWEEN ?2 AND ?3 AND receive_count = 0)
         FROM messages WHERE queue = (SELECT id FROM queues WHERE name = ?1)",
    )?;
    let bounds = params![queue, now.saturating_add(1), longest(now)];
    let depth = count.query_row(bounds, |row| {
        Ok(Depth { ready: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
    })?;
    Ok(depth)
}

/// For each of `packs`, whether a message on any queue is about it.
pub(super) fn holds(connection: &Connection, packs: &[PackKey]) -> Result<Vec<bool>, Fault> {
    let mut find = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM bodies WHERE request = ?1 AND round = ?2 AND pack = ?3)",
    )?;
    let mut held = Vec::with_capacity(packs.len());
    for PackKey { round, pack } in packs {
        let key = params![blob(round.request), round.round, pack];
        held.push(find.query_row(key, |row| row.get(0))?);
    }
    Ok(held)
}

fn parse(receipt: &ReceiptHandle) -> Option<(i64, u32)> {
    let (id, receive_count) = receipt.0.split_once('.')?;
    Some((id.parse().ok()?, receive_count.parse().ok()?))
}

fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX))
}

fn longest(now: i64) -> i64 {
    after(now, MAX_LEASE)
}
