//! Deletion by age, in steps that hold up nobody: each reads what is old enough without a lock, and deletes
//! some of it in one transaction that looks again.

mod images;
mod letters;
mod messages;
mod predictions;
mod requests;

use std::{path::PathBuf, str::FromStr, sync::Arc};

use async_trait::async_trait;
use flota_core::{
    PortError, PortResult,
    ports::{Clock, Deleted, Retention, StoredKind},
};
use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::{
    columns::{nanos, time},
    database::Database,
    error::Fault,
    vacuum,
};

/// Most rows that one transaction deletes, beyond the one that reaches it: some milliseconds, and requests,
/// which go whole, have thousands at most.
const MAX_ROWS: usize = 500;
/// Most that one step looks at.
const MAX_CANDIDATES: usize = 200;

/// Deletion from the data folder.
pub(super) struct EmbeddedRetention {
    pub(super) queue: Arc<Database>,
    pub(super) records: Arc<Database>,
    /// Where uploaded images are.
    pub(super) images: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
}

/// A place in a list that is ordered by a number and then by a text.
type Place = (i64, String);

#[async_trait]
impl Retention for EmbeddedRetention {
    async fn delete(
        &self,
        kind: StoredKind,
        before: Timestamp,
        after: Option<&str>,
    ) -> PortResult<Deleted> {
        let before_nanos = nanos(before);
        match kind {
            StoredKind::Messages => {
                let (after, now) = (number(after)?, nanos(self.clock.now()));
                messages::delete(&self.queue, before_nanos, now, after).await
            }
            StoredKind::Requests => {
                requests::delete(&self.records, before_nanos, place(after)?).await
            }
            StoredKind::DeadLetters => {
                letters::delete_resolved(&self.records, before, place(after)?).await
            }
            StoredKind::OpenDeadLetters => {
                letters::delete_open(&self.records, before_nanos, place(after)?).await
            }
            StoredKind::Replays => letters::delete_replays(&self.records, before, after).await,
            StoredKind::Predictions => {
                predictions::delete(&self.records, before_nanos, place(after)?).await
            }
            StoredKind::Aliases => predictions::delete_aliases(&self.records, after).await,
            StoredKind::Images => images::delete(&self.records, &self.images, before, after).await,
        }
    }

    async fn believed_at(&self) -> PortResult<Option<Timestamp>> {
        let read = |connection: &rusqlite::Connection| {
            let mut select = connection.prepare_cached("SELECT believed_at FROM retention")?;
            Ok(select.query_row([], |row| row.get(0)).optional()?.map(time))
        };
        self.records.read("reading when the clock was believed", read).await
    }

    async fn believe(&self, at: Timestamp) -> PortResult<()> {
        let write = move |connection: &rusqlite::Connection| {
            connection.execute("DELETE FROM retention", [])?;
            connection.execute("INSERT INTO retention (believed_at) VALUES (?1)", [nanos(at)])?;
            Ok(())
        };
        self.records.write("believing the clock", write).await
    }

    async fn shrink(&self) -> PortResult<u64> {
        let mut returned_bytes = 0;
        for database in [&self.queue, &self.records] {
            let look = |connection: &_| Ok(vacuum::spare_pages(connection)?.is_some());
            if database.read("looking for free pages", look).await? {
                returned_bytes += database.write("returning free pages", vacuum::shrink).await?;
            }
        }
        Ok(returned_bytes)
    }
}

/// The place that `text` names, before all others where there is none.
fn place(text: Option<&str>) -> PortResult<Place> {
    let Some(text) = text else { return Ok((i64::MIN, String::new())) };
    match text.split_once(' ') {
        Some((first, second)) => Ok((number(Some(first))?, second.to_owned())),
        None => Err(no_place(text)),
    }
}

fn place_text((first, second): &Place) -> String {
    format!("{first} {second}")
}

fn number(text: Option<&str>) -> PortResult<i64> {
    let Some(text) = text else { return Ok(i64::MIN) };
    i64::from_str(text).map_err(|_| no_place(text))
}

fn no_place(text: &str) -> PortError {
    PortError::permanent("deleting by age", format!("`{text}` is no place to go on from"))
}

/// `found`, and where to go on if there may be more.
fn listed<T>(found: Vec<T>, place: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let is_full = found.len() == MAX_CANDIDATES;
    let next = found.last().filter(|_| is_full).map(place);
    (found, next)
}

/// What a transaction did with some candidates: it may have stopped at one, where the next step goes on.
#[derive(Default)]
struct Step {
    deleted: Deleted,
    row_count: usize,
}

impl Step {
    /// Counts one that was deleted with so many rows.
    fn count(&mut self, row_count: usize, size_bytes: u64) {
        self.deleted.count += 1;
        self.deleted.size_bytes += size_bytes;
        self.row_count += row_count;
    }

    fn is_full(&self) -> bool {
        self.row_count >= MAX_ROWS
    }
}

/// Calls `delete` for each of `candidates` until the step is full, in one transaction; goes on at `next`,
/// or at the last one that was looked at.
async fn in_one_transaction<T: Send + 'static>(
    database: &Database,
    (candidates, next): (Vec<T>, Option<String>),
    place: fn(&T) -> String,
    delete: impl Fn(&rusqlite::Connection, &T, &mut Step) -> Result<(), Fault> + Send + 'static,
) -> PortResult<Deleted> {
    if candidates.is_empty() {
        return Ok(Deleted { next, ..Deleted::default() });
    }
    let write = move |connection: &rusqlite::Connection| {
        let mut step = Step::default();
        let mut next = next;
        for (n, candidate) in candidates.iter().enumerate() {
            delete(connection, candidate, &mut step)?;
            if step.is_full() && n + 1 < candidates.len() {
                next = Some(place(candidate));
                break;
            }
        }
        Ok(Deleted { next, ..step.deleted })
    };
    database.write("deleting by age", write).await
}
