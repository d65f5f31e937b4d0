//! Messages that nobody takes any more: SQS drops such messages too, and what has no outcome is sent again.

use flota_core::{PortResult, ports::Deleted};
use rusqlite::{Connection, params};

use super::{super::database::Database, MAX_CANDIDATES, in_one_transaction, listed};

/// Deletes messages that were sent before `before` and that nobody holds at `now`.
pub(super) async fn delete(
    database: &Database,
    before: i64,
    now: i64,
    after: i64,
) -> PortResult<Deleted> {
    let read = move |connection: &Connection| {
        // Ids ascend with time, so that the oldest are at the beginning.
        let mut select = connection.prepare_cached(
            "SELECT id, sent_at < ?2, sent_at < ?2 AND visible_at <= ?3
             FROM messages JOIN bodies ON message = id WHERE id > ?1 ORDER BY id LIMIT ?4",
        )?;
        let found = select.query_map(params![after, before, now, MAX_CANDIDATES], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?))
        })?;
        let found: Vec<(i64, bool, bool)> = found.collect::<Result<_, _>>()?;
        let (found, next) = listed(found, |(id, ..)| id.to_string());
        let next = next.filter(|_| found.last().is_some_and(|(_, is_old, _)| *is_old));
        let left = found.into_iter().filter(|(.., is_left)| *is_left).map(|(id, ..)| id);
        Ok((left.collect::<Vec<_>>(), next))
    };
    let found = database.read("looking for messages to delete", read).await?;
    in_one_transaction(database, found, i64::to_string, move |connection, id, step| {
        let mut delete =
            connection.prepare_cached("DELETE FROM messages WHERE id = ?1 AND visible_at <= ?2")?;
        if delete.execute([*id, now])? > 0 {
            let mut size = connection
                .prepare_cached("SELECT octet_length(body) FROM bodies WHERE message = ?1")?;
            let size_bytes = size.query_row([id], |row| row.get(0))?;
            connection.prepare_cached("DELETE FROM bodies WHERE message = ?1")?.execute([id])?;
            step.count(2, size_bytes);
        }
        Ok(())
    })
    .await
}
