//! Requests go whole: with all that lies under their id.

use flota_core::{PortResult, ports::Deleted};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    super::{database::Database, error::Fault},
    MAX_CANDIDATES, Place, Step, in_one_transaction, place_text,
};

/// A request by its id, with the place of one of its finished rounds.
type Candidate = (Place, [u8; 16]);

/// Deletes requests whose last round finished before `before`.
pub(super) async fn delete(
    database: &Database,
    before: i64,
    (finished_at, request): Place,
) -> PortResult<Deleted> {
    let after = (finished_at, Uuid::try_parse(&request).unwrap_or_default().into_bytes());
    let read = move |connection: &Connection| {
        let mut select = connection.prepare_cached(
            "SELECT finished_at, request FROM rounds
             WHERE finished_at BETWEEN ?1 AND ?2 - 1 AND (finished_at, request) > (?1, ?3)
             ORDER BY finished_at, request LIMIT ?4",
        )?;
        let by = params![after.0, before, after.1, MAX_CANDIDATES];
        let found = select.query_map(by, |row| Ok((row.get(0)?, row.get::<_, [u8; 16]>(1)?)))?;
        let found: Vec<(i64, [u8; 16])> = found.collect::<Result<_, _>>()?;
        let candidate = |(at, id): (i64, [u8; 16])| -> Candidate {
            ((at, Uuid::from_bytes(id).simple().to_string()), id)
        };
        let (found, next) =
            super::listed(found.into_iter().map(candidate).collect(), |(place, _)| {
                place_text(place)
            });
        let mut over = Vec::new();
        for candidate in found {
            if is_over(connection, candidate.1, before)? {
                over.push(candidate);
            }
        }
        Ok((over, next))
    };
    let found = database.read("looking for requests to delete", read).await?;
    let place = |(place, _): &Candidate| place_text(place);
    in_one_transaction(database, found, place, move |connection, (_, id), step| {
        match is_over(connection, *id, before)? {
            true => delete_one(connection, *id, step),
            false => Ok(()),
        }
    })
    .await
}

/// Whether all rounds of a request finished before `before` and nothing is open about it.
fn is_over(connection: &Connection, id: [u8; 16], before: i64) -> Result<bool, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT NOT EXISTS (SELECT 1 FROM rounds WHERE request = ?1
                            AND (finished_at IS NULL OR finished_at >= ?2))
            AND NOT EXISTS (SELECT 1 FROM callbacks WHERE request = ?1 AND due_at IS NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE id > ?3 AND id < ?4 AND +is_open)",
    )?;
    // The ids of its tasks' dead letters begin so; a full stop comes after a hyphen.
    let letters = format!("dead_{}", Uuid::from_bytes(id).simple());
    let by = params![id, before, format!("{letters}-"), format!("{letters}.")];
    Ok(select.query_row(by, |row| row.get(0))?)
}

fn delete_one(connection: &Connection, id: [u8; 16], step: &mut Step) -> Result<(), Fault> {
    let mut size = connection.prepare_cached(
        "SELECT coalesce(sum(octet_length(record)), 0) FROM outcomes WHERE request = ?1",
    )?;
    let mut size_bytes: u64 = size.query_row([id], |row| row.get(0))?;
    let mut size =
        connection.prepare_cached("SELECT octet_length(record) FROM requests WHERE id = ?1")?;
    let record_bytes: Option<u64> = size.query_row([id], |row| row.get(0)).optional()?;
    size_bytes += record_bytes.unwrap_or(0);
    let mut row_count = 0;
    for delete in [
        "DELETE FROM outcomes WHERE request = ?1",
        "DELETE FROM complete_packs WHERE request = ?1",
        "DELETE FROM attempts WHERE request = ?1",
        "DELETE FROM resends WHERE request = ?1",
        "DELETE FROM callback_attempts WHERE request = ?1",
        "DELETE FROM callbacks WHERE request = ?1",
        "DELETE FROM idempotency_keys WHERE request = ?1",
        "DELETE FROM rounds WHERE request = ?1",
        "DELETE FROM requests WHERE id = ?1",
    ] {
        row_count += connection.prepare_cached(delete)?.execute([id])?;
    }
    // Each of its rounds leads to it, and the first takes it away.
    if row_count > 0 {
        step.count(row_count, size_bytes);
    }
    Ok(())
}
