use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    DeadLetter, DeadLetterState, ModelName, PortResult, Reason, Subject,
    ports::{DeadLetterFilter, DeadLetters},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::{at_most, json, nanos, record},
    database::Database,
    error::Fault,
};

/// Dead letters in `records.sqlite`.
pub(super) struct EmbeddedDeadLetters {
    database: Arc<Database>,
}

impl EmbeddedDeadLetters {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl DeadLetters for EmbeddedDeadLetters {
    async fn put(&self, letter: &DeadLetter) -> PortResult<()> {
        let letter = letter.clone();
        let write = move |connection: &Connection| {
            let model = match &letter.subject {
                Subject::Task { model, .. } => Some(model.as_str()),
                Subject::Message { .. } => None,
            };
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO dead_letters
                         (id, created_at, model, reason, is_open, record)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    letter.id,
                    nanos(letter.created_at),
                    model,
                    letter.reason.to_string(),
                    letter.state == DeadLetterState::Open,
                    json(&letter)?
                ])?;
            Ok(())
        };
        self.database.write("keeping a dead letter", write).await
    }

    async fn get(&self, id: &str) -> PortResult<Option<DeadLetter>> {
        let id = id.to_owned();
        let read = move |connection: &_| find(connection, &id);
        self.database.read("reading a dead letter", read).await
    }

    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<Vec<DeadLetter>> {
        let filter = filter.clone();
        let read = move |connection: &_| list(connection, &filter);
        self.database.read("listing dead letters", read).await
    }

    async fn decide(&self, id: &str, state: DeadLetterState) -> PortResult<bool> {
        let id = id.to_owned();
        let write = move |connection: &Connection| {
            let Some(mut letter) = find(connection, &id)? else { return Ok(false) };
            if letter.state != DeadLetterState::Open {
                return Ok(false);
            }
            letter.state = state;
            let is_open = state == DeadLetterState::Open;
            connection
                .prepare_cached("UPDATE dead_letters SET is_open = ?2, record = ?3 WHERE id = ?1")?
                .execute(params![id, is_open, json(&letter)?])?;
            Ok(true)
        };
        self.database.write("deciding about a dead letter", write).await
    }
}

fn find(connection: &Connection, id: &str) -> Result<Option<DeadLetter>, Fault> {
    let mut select = connection.prepare_cached("SELECT record FROM dead_letters WHERE id = ?1")?;
    let mut rows = select.query([id])?;
    rows.next()?.map(|row| record(row, 0)).transpose()
}

fn list(connection: &Connection, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Fault> {
    let after = match &filter.after {
        None => (i64::MIN, ""),
        Some(id) => {
            let mut select =
                connection.prepare_cached("SELECT created_at FROM dead_letters WHERE id = ?1")?;
            match select.query_row([id], |row| row.get(0)).optional()? {
                Some(created_at) => (created_at, id.as_str()),
                None => return Ok(Vec::new()),
            }
        }
    };
    let mut select = connection.prepare_cached(match filter.decided {
        true => {
            "SELECT record FROM dead_letters
             WHERE (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR reason = ?2)
               AND (created_at, id) > (?3, ?4)
             ORDER BY created_at, id LIMIT ?5"
        }
        // Written out, so that the index of the open ones serves it.
        false => {
            "SELECT record FROM dead_letters
             WHERE is_open AND (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR reason = ?2)
               AND (created_at, id) > (?3, ?4)
             ORDER BY created_at, id LIMIT ?5"
        }
    })?;
    let by = params![
        filter.model.as_ref().map(ModelName::as_str),
        filter.reason.as_ref().map(Reason::to_string),
        after.0,
        after.1,
        at_most(filter.limit)
    ];
    let found = select.query_and_then(by, |row| record(row, 0))?;
    found.collect()
}
