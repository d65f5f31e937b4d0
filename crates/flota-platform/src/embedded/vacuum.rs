//! Returning the pages that deletion leaves free in a database file.

use std::path::Path;

use rusqlite::Connection;
use tracing::{info, warn};

use super::{OpenError, database::connect, error::Fault};
use crate::DiskSpace;

/// `PRAGMA auto_vacuum` of a file whose free pages can be returned one by one.
const INCREMENTAL: i64 = 2;
/// Pages returned in one transaction, 1 MiB: each is filled with one from the end of the file.
const STEP_PAGES: i64 = 256;
/// This part of a file may be free: what is written next needs it.
const SPARE_PART: i64 = 10;
/// A file up to this size in bytes is rewritten when it is opened; it takes less than a second.
const MAX_REWRITTEN_BYTES: u64 = 64 * 1024 * 1024;

/// Has a new file return free pages; call it before the first page is written.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    match number(connection, "page_count")? {
        0 => connection.pragma_update(None, "auto_vacuum", INCREMENTAL),
        _ => Ok(()),
    }
}

/// Has a file that an earlier version made return free pages: it must be written anew for that. A large one
/// stays as it is until [`rewrite`].
pub(super) fn convert(path: &Path, connection: &Connection) -> rusqlite::Result<()> {
    let (size_bytes, _, is_shrinking) = sizes(connection)?;
    if is_shrinking || !is_rewritten_at_start(size_bytes) {
        return Ok(());
    }
    match vacuum(connection) {
        Ok(()) => {
            info!(path = %path.display(), "the database was written anew, so that it can shrink")
        }
        // Somebody else has it open. It works as it is, and the next start tries again.
        Err(error) => warn!(path = %path.display(), %error, "the database cannot shrink yet"),
    }
    Ok(())
}

fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    connection.execute_batch("VACUUM")
}

/// Writes the databases in `data_dir` anew, so that they are as small as they can be and return free pages
/// from then on; returns how many bytes that freed. It blocks, for about a minute for each few gigabytes, and
/// needs as much free space as the databases take, twice. No other process may use the folder.
///
/// # Errors
/// If there is not enough space, or a database cannot be written.
pub fn rewrite(data_dir: &Path) -> Result<u64, OpenError> {
    let mut freed_bytes = 0;
    for file in ["queue.sqlite", "records.sqlite"] {
        let path = data_dir.join(file);
        if !path.exists() {
            continue;
        }
        let folder = |source| OpenError::folder(&path, source);
        let size_bytes = || path.metadata().map(|file| file.len()).map_err(folder);
        let before_bytes = size_bytes()?;
        let free_bytes = DiskSpace::of(data_dir).map_err(folder)?.free_bytes;
        let needed_bytes = before_bytes.saturating_mul(2);
        if free_bytes < needed_bytes {
            let why = format!("{needed_bytes} free bytes are needed, and there are {free_bytes}");
            return Err(folder(std::io::Error::new(std::io::ErrorKind::StorageFull, why)));
        }
        let write = || {
            let connection = connect(&path)?;
            // Refused while another process has it open, whose writes would wait for minutes.
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            vacuum(&connection)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        write().map_err(|source| OpenError::database(&path, source))?;
        freed_bytes += before_bytes.saturating_sub(size_bytes()?);
    }
    Ok(freed_bytes)
}

/// How many pages are to be returned, where some are.
pub(super) fn spare_pages(connection: &Connection) -> Result<Option<i64>, Fault> {
    if number(connection, "auto_vacuum")? != INCREMENTAL {
        return Ok(None);
    }
    let free = number(connection, "freelist_count")?;
    let spare = free - number(connection, "page_count")? / SPARE_PART;
    // Less than a step is not worth a transaction.
    Ok((spare >= STEP_PAGES).then_some(STEP_PAGES))
}

/// Returns some free pages; how many bytes.
pub(super) fn shrink(connection: &Connection) -> Result<u64, Fault> {
    let Some(page_count) = spare_pages(connection)? else { return Ok(0) };
    let before = number(connection, "page_count")?;
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({page_count})"))?;
    let mut rows = vacuum.query([])?;
    // Each row is a page.
    while rows.next()?.is_some() {}
    let returned = before - number(connection, "page_count")?;
    let bytes = returned.saturating_mul(number(connection, "page_size")?);
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// The size of a file, what of it is free, both in bytes, and whether it returns free pages.
pub(super) fn sizes(connection: &Connection) -> rusqlite::Result<(u64, u64, bool)> {
    let page_size = number(connection, "page_size")?;
    let bytes = |pages: i64| u64::try_from(pages.saturating_mul(page_size)).unwrap_or(0);
    let (all, free) = (number(connection, "page_count")?, number(connection, "freelist_count")?);
    let is_shrinking = number(connection, "auto_vacuum")? == INCREMENTAL;
    Ok((bytes(all), bytes(free), is_shrinking))
}

/// Whether a file of `size_bytes` is rewritten when it is next opened.
pub(super) const fn is_rewritten_at_start(size_bytes: u64) -> bool {
    size_bytes <= MAX_REWRITTEN_BYTES
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Connection {
        let connection = connect(path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection
    }

    fn fill(connection: &Connection) {
        connection.execute_batch("CREATE TABLE IF NOT EXISTS a (x BLOB) STRICT").unwrap();
        for _ in 0..100 {
            connection.execute("INSERT INTO a VALUES (zeroblob(100000))", []).unwrap();
        }
    }

    #[test]
    fn a_new_file_returns_what_is_deleted_but_for_a_tenth() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.sqlite");
        let connection = connect(&path).unwrap();
        prepare(&connection).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        fill(&connection);
        assert_eq!(shrink(&connection).unwrap(), 0, "nothing is free");
        connection.execute("DELETE FROM a WHERE rowid > 50", []).unwrap();
        let before = sizes(&connection).unwrap().0;
        let mut returned = 0;
        loop {
            connection.execute_batch("BEGIN IMMEDIATE; SAVEPOINT operation").unwrap();
            let step = shrink(&connection).unwrap();
            connection.execute_batch("RELEASE operation; COMMIT").unwrap();
            assert!(step < 2 * 256 * 4096, "{step}");
            returned += step;
            if step == 0 {
                break;
            }
        }
        let (after, free, _) = sizes(&connection).unwrap();
        assert_eq!(before - after, returned);
        assert!(returned > 3_000_000 && free < after / 4, "{returned} {free} {after}");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert_eq!(path.metadata().unwrap().len(), after);
    }

    #[test]
    fn a_file_of_an_earlier_version_is_rewritten_where_it_is_small_or_by_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.sqlite");
        let connection = open(&path);
        fill(&connection);
        assert!(!sizes(&connection).unwrap().2);
        convert(&path, &connection).unwrap();
        drop(connection);
        let connection = open(&path);
        assert!(sizes(&connection).unwrap().2);
        let kept: i64 =
            connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 100);

        connection.execute_batch("DELETE FROM a; PRAGMA auto_vacuum = NONE; VACUUM").unwrap();
        fill(&connection);
        connection.execute("DELETE FROM a WHERE rowid > 10", []).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(connection);
        assert!(rewrite(dir.path()).unwrap() > 8_000_000);
        assert!(sizes(&open(&path)).unwrap().2);
    }
}
