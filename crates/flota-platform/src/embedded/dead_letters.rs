use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    DeadLetter, DeadLetterState, ModelName, PortResult, Reason,
    ports::{DeadLetterFilter, DeadLetterPage, DeadLetters},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::{json, nanos, record},
    database::Database,
    error::Fault,
};

/// Most dead letters that one call looks at: a search for a rare text does not hold a reader long.
const MAX_LOOKED_AT: usize = 2_000;

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
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO dead_letters
                         (id, created_at, model, reason, is_open, record)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    letter.id,
                    nanos(letter.created_at),
                    letter.model().map(ModelName::as_str),
                    letter.reason.to_string(),
                    letter.is_open(),
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

    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<DeadLetterPage> {
        let filter = filter.clone();
        let read = move |connection: &_| list(connection, &filter);
        self.database.read("listing dead letters", read).await
    }

    async fn open_count(&self) -> PortResult<u64> {
        let read = |connection: &Connection| {
            let count = "SELECT count(*) FROM dead_letters WHERE is_open";
            Ok(connection.prepare_cached(count)?.query_row([], |row| row.get(0))?)
        };
        self.database.read("counting dead letters", read).await
    }

    async fn decide(&self, id: &str, state: &DeadLetterState) -> PortResult<bool> {
        let (id, state) = (id.to_owned(), state.clone());
        let write = move |connection: &Connection| match find(connection, &id)? {
            Some(letter) if letter.is_open() => {
                set_state(connection, DeadLetter { state, ..letter })?;
                Ok(true)
            }
            _ => Ok(false),
        };
        self.database.write("deciding about a dead letter", write).await
    }

    async fn replay_ended(&self, id: &str, round: u32, succeeded: bool) -> PortResult<()> {
        let id = id.to_owned();
        let write = move |connection: &Connection| {
            let Some(mut letter) = find(connection, &id)? else { return Ok(()) };
            if letter.note_ended(round, succeeded) {
                set_state(connection, letter)?;
            }
            Ok(())
        };
        self.database.write("noting how a replay ended", write).await
    }
}

/// The dead letter, if there is one.
pub(super) fn find(connection: &Connection, id: &str) -> Result<Option<DeadLetter>, Fault> {
    let mut select = connection.prepare_cached("SELECT record FROM dead_letters WHERE id = ?1")?;
    let mut rows = select.query([id])?;
    rows.next()?.map(|row| record(row, 0)).transpose()
}

fn set_state(connection: &Connection, letter: DeadLetter) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE dead_letters SET is_open = ?2, record = ?3 WHERE id = ?1")?
        .execute(params![letter.id, letter.is_open(), json(&letter)?])?;
    Ok(())
}

fn list(connection: &Connection, filter: &DeadLetterFilter) -> Result<DeadLetterPage, Fault> {
    let after = match &filter.after {
        None => (i64::MIN, ""),
        Some(id) => {
            let mut select =
                connection.prepare_cached("SELECT created_at FROM dead_letters WHERE id = ?1")?;
            match select.query_row([id], |row| row.get(0)).optional()? {
                Some(created_at) => (created_at, id.as_str()),
                None => return Ok(DeadLetterPage::default()),
            }
        }
    };
    let mut select = connection.prepare_cached(match filter.include_resolved {
        true => {
            "SELECT record FROM dead_letters
             WHERE (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR reason = ?2)
               AND created_at >= ?3 AND created_at < ?4 AND (created_at, id) > (?5, ?6)
             ORDER BY created_at, id"
        }
        // Written out, so that the index of the open ones serves it.
        false => {
            "SELECT record FROM dead_letters
             WHERE is_open AND (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR reason = ?2)
               AND created_at >= ?3 AND created_at < ?4 AND (created_at, id) > (?5, ?6)
             ORDER BY created_at, id"
        }
    })?;
    let selection = &filter.selection;
    let by = params![
        selection.model.as_ref().map(ModelName::as_str),
        selection.reason.as_ref().map(Reason::to_string),
        selection.since.map_or(i64::MIN, nanos),
        selection.until.map_or(i64::MAX, nanos),
        after.0,
        after.1,
    ];
    let mut page = DeadLetterPage::default();
    if filter.limit == 0 {
        return Ok(page);
    }
    let mut found = select.query(by)?;
    let mut looked_at_count = 0;
    while let Some(row) = found.next()? {
        let letter: DeadLetter = record(row, 0)?;
        let id = letter.id.clone();
        looked_at_count += 1;
        if selection.contains(&letter) {
            page.letters.push(letter);
        }
        if page.letters.len() == filter.limit || looked_at_count == MAX_LOOKED_AT {
            page.next_after = Some(id);
            break;
        }
    }
    Ok(page)
}
