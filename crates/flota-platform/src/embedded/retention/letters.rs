//! Dead letters and replays.

use flota_core::{DeadLetter, PortResult, Replay, ReplayState, ports::Deleted};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{
        columns::{blob, nanos, record},
        database::Database,
        dead_letters::find,
        error::Fault,
    },
    MAX_CANDIDATES, Place, Step, in_one_transaction, listed, place_text,
};

/// Deletes dead letters that were resolved before `before`.
pub(super) async fn delete_resolved(
    database: &Database,
    before: Timestamp,
    after: Place,
) -> PortResult<Deleted> {
    let select = "SELECT created_at, id FROM dead_letters
                  WHERE NOT is_open AND created_at < ?1 AND (created_at, id) > (?2, ?3)
                  ORDER BY created_at, id LIMIT ?4";
    let found = candidates(database, select, nanos(before), after).await?;
    in_one_transaction(database, found, place_text, move |connection, (_, id), step| {
        match find(connection, id)? {
            Some(letter) if letter.resolved_at().is_some_and(|at| at < before) => {
                delete(connection, &letter, step)
            }
            _ => Ok(()),
        }
    })
    .await
}

/// Deletes open dead letters that were made before `before`.
pub(super) async fn delete_open(
    database: &Database,
    before: i64,
    after: Place,
) -> PortResult<Deleted> {
    let select = "SELECT created_at, id FROM dead_letters
                  WHERE is_open AND created_at < ?1 AND (created_at, id) > (?2, ?3)
                  ORDER BY created_at, id LIMIT ?4";
    let found = candidates(database, select, before, after).await?;
    in_one_transaction(database, found, place_text, |connection, (_, id), step| {
        match find(connection, id)? {
            Some(letter) if letter.is_open() => delete(connection, &letter, step),
            _ => Ok(()),
        }
    })
    .await
}

async fn candidates(
    database: &Database,
    select: &'static str,
    before: i64,
    (created_at, id): Place,
) -> PortResult<(Vec<Place>, Option<String>)> {
    let read = move |connection: &Connection| {
        let mut select = connection.prepare_cached(select)?;
        let by = params![before, created_at, id, MAX_CANDIDATES];
        let found = select.query_map(by, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(listed(found.collect::<Result<_, _>>()?, place_text))
    };
    database.read("looking for dead letters to delete", read).await
}

/// Deletes a dead letter unless its request runs.
fn delete(connection: &Connection, letter: &DeadLetter, step: &mut Step) -> Result<(), Fault> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM dead_letters WHERE id = ?1
           AND NOT EXISTS (SELECT 1 FROM rounds WHERE request = ?2 AND finished_at IS NULL)
         RETURNING octet_length(record)",
    )?;
    let mut rows = delete.query(params![letter.id, letter.request().map(blob)])?;
    if let Some(row) = rows.next()? {
        step.count(1, row.get(0)?);
    }
    // A statement that returns rows is done only once all were taken.
    while rows.next()?.is_some() {}
    Ok(())
}

/// Deletes replays that ended before `before`.
pub(super) async fn delete_replays(
    database: &Database,
    before: Timestamp,
    after: Option<&str>,
) -> PortResult<Deleted> {
    let after = after.unwrap_or_default().to_owned();
    let read = move |connection: &Connection| {
        let mut select = connection.prepare_cached(
            "SELECT id, record FROM replays WHERE NOT is_running AND id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let found = select.query_and_then(params![after, MAX_CANDIDATES], |row| {
            let replay: Replay = record(row, 1)?;
            Ok::<_, Fault>((row.get::<_, String>(0)?, has_ended(&replay, before)))
        })?;
        let found: Vec<(String, bool)> = found.collect::<Result<_, _>>()?;
        let (found, next) = listed(found, |(id, _)| id.clone());
        let ended = found.into_iter().filter(|(_, has_ended)| *has_ended).map(|(id, _)| id);
        Ok((ended.collect::<Vec<_>>(), next))
    };
    let found = database.read("looking for replays to delete", read).await?;
    in_one_transaction(database, found, String::clone, |connection, id, step| {
        // One that has ended never runs again.
        let mut delete = connection.prepare_cached(
            "DELETE FROM replays WHERE id = ?1 AND NOT is_running RETURNING octet_length(record)",
        )?;
        let mut rows = delete.query([id])?;
        if let Some(row) = rows.next()? {
            step.count(1, row.get(0)?);
        }
        while rows.next()?.is_some() {}
        Ok(())
    })
    .await
}

fn has_ended(replay: &Replay, before: Timestamp) -> bool {
    match replay.state {
        ReplayState::Running => false,
        ReplayState::Completed { at } | ReplayState::Stopped { at, .. } => at < before,
    }
}
