//! Predictions that no outcome names any more, and aliases that lead to none.

use flota_core::{PortResult, ports::Deleted};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{database::Database, error::Fault},
    MAX_CANDIDATES, MAX_ROWS, Place, in_one_transaction, listed, place_text,
};

/// A prediction by its row; rows keep their numbers but for a `VACUUM` of the whole file.
type Candidate = (i64, i64);

/// Deletes predictions that were last used before `before`.
pub(super) async fn delete(
    database: &Database,
    before: i64,
    (used_at, row): Place,
) -> PortResult<Deleted> {
    let row: i64 = row.parse().unwrap_or(i64::MIN);
    let read = move |connection: &Connection| {
        let mut select = connection.prepare_cached(
            "SELECT coalesce(used_at, computed_at), rowid FROM predictions
             WHERE coalesce(used_at, computed_at) BETWEEN ?1 AND ?2 - 1
               AND (coalesce(used_at, computed_at), rowid) > (?1, ?3)
             ORDER BY coalesce(used_at, computed_at), rowid LIMIT ?4",
        )?;
        let by = params![used_at, before, row, MAX_CANDIDATES];
        let found = select.query_map(by, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (found, next) = listed(found.collect::<Result<_, _>>()?, place);
        let mut unused = Vec::new();
        for candidate in found {
            if unused_size(connection, candidate.1, before)?.is_some() {
                unused.push(candidate);
            }
        }
        Ok((unused, next))
    };
    let found = database.read("looking for predictions to delete", read).await?;
    in_one_transaction(database, found, place, move |connection, (_, row), step| {
        if let Some(size_bytes) = unused_size(connection, *row, before)? {
            let mut delete =
                connection.prepare_cached("DELETE FROM predictions WHERE rowid = ?1")?;
            delete.execute([row])?;
            step.count(1, size_bytes);
        }
        Ok(())
    })
    .await
}

fn place((used_at, row): &Candidate) -> String {
    place_text(&(*used_at, row.to_string()))
}

/// The size of a prediction that was last used before `before` and that no outcome names.
fn unused_size(connection: &Connection, row: i64, before: i64) -> Result<Option<u64>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT octet_length(record) FROM predictions AS known
         WHERE rowid = ?1 AND coalesce(used_at, computed_at) < ?2
           AND NOT EXISTS (
               SELECT 1 FROM outcomes
               WHERE substr(json_extract(record, '$.prediction.sha256'), 1, 16)
                     = substr(known.sha256, 1, 16)
                 AND json_extract(record, '$.prediction.sha256') = known.sha256
                 AND json_extract(record, '$.prediction.model') = known.model
                 AND json_extract(record, '$.prediction.version') = known.version)",
    )?;
    Ok(select.query_row([row, before], |row| row.get(0)).optional()?)
}

/// Deletes aliases whose content has no prediction.
pub(super) async fn delete_aliases(
    database: &Database,
    after: Option<&str>,
) -> PortResult<Deleted> {
    const USELESS: &str =
        "NOT EXISTS (SELECT 1 FROM predictions WHERE predictions.sha256 = aliases.sha256)";
    let after = after.unwrap_or_default().to_owned();
    let read = move |connection: &Connection| {
        let select = format!(
            "SELECT object, {USELESS} FROM aliases WHERE object > ?1 ORDER BY object LIMIT ?2"
        );
        let mut select = connection.prepare_cached(&select)?;
        let found = select.query_map(params![after, MAX_ROWS], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
        })?;
        let found: Vec<(String, bool)> = found.collect::<Result<_, _>>()?;
        let is_full = found.len() == MAX_ROWS;
        let next = found.last().filter(|_| is_full).map(|(object, _)| object.clone());
        let useless = found.into_iter().filter(|(_, is_useless)| *is_useless);
        Ok((useless.map(|(object, _)| object).collect::<Vec<_>>(), next))
    };
    let found = database.read("looking for aliases to delete", read).await?;
    in_one_transaction(database, found, String::clone, |connection, object, step| {
        let delete = format!("DELETE FROM aliases WHERE object = ?1 AND {USELESS}");
        if connection.prepare_cached(&delete)?.execute([object])? > 0 {
            step.count(1, object.len() as u64 + 64);
        }
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema;

    #[test]
    fn an_index_finds_the_outcomes_that_name_a_prediction() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::RECORDS.migrate(std::path::Path::new("records"), &mut connection).unwrap();
        let plan = |sql: &str| -> String {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let rows = explain.query_map([], |row| row.get::<_, String>(3)).unwrap();
            rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        let named = plan(
            "SELECT 1 FROM predictions AS known WHERE rowid = 1 AND NOT EXISTS (
                 SELECT 1 FROM outcomes
                 WHERE substr(json_extract(record, '$.prediction.sha256'), 1, 16)
                       = substr(known.sha256, 1, 16))",
        );
        assert!(named.contains("outcomes_by_image"), "{named}");
        let oldest = plan(
            "SELECT rowid FROM predictions WHERE coalesce(used_at, computed_at) BETWEEN 1 AND 9
               AND (coalesce(used_at, computed_at), rowid) > (1, 2)
             ORDER BY coalesce(used_at, computed_at), rowid LIMIT 10",
        );
        assert!(oldest.contains("predictions_by_use") && !oldest.contains("B-TREE"), "{oldest}");
        let finished = plan(
            "SELECT request FROM rounds WHERE finished_at BETWEEN 1 AND 9
               AND (finished_at, request) > (1, x'00')
             ORDER BY finished_at, request LIMIT 10",
        );
        assert!(finished.contains("rounds_finished") && !finished.contains("B-TREE"), "{finished}");
    }
}
