//! What a database file says of itself, for `flota doctor`.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{
    schema::{QUEUE, RECORDS},
    vacuum,
};

/// The database files of a data folder.
pub const DATABASES: [&str; 2] = ["queue.sqlite", "records.sqlite"];

/// A database file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseState {
    /// The version of its schema.
    pub version: usize,
    /// The latest version that this program knows.
    pub known_version: usize,
    /// What SQLite finds wrong with its pages and indexes; `None` where they are whole.
    pub damage: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// How much of its size is free pages.
    pub free_bytes: u64,
    /// Whether it returns free pages to the disk: it does, or will from its next opening on.
    pub is_shrinking: bool,
}

/// Reads the file `name`, one of [`DATABASES`], in `data_dir`. It blocks, reads every page, and changes nothing.
///
/// # Errors
/// If SQLite cannot read the file.
pub fn inspect(data_dir: &Path, name: &str) -> rusqlite::Result<DatabaseState> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(data_dir.join(name), flags)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let (size_bytes, free_bytes, is_shrinking) = vacuum::sizes(&connection)?;
    let schema = if name == DATABASES[0] { &QUEUE } else { &RECORDS };
    Ok(DatabaseState {
        version,
        known_version: schema.version(),
        damage: (found != "ok").then_some(found),
        size_bytes,
        free_bytes,
        is_shrinking: is_shrinking || vacuum::is_rewritten_at_start(size_bytes),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::{SystemClock, embedded::open};

    #[test]
    fn databases_of_this_version_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), Arc::new(SystemClock)).unwrap();
        for name in DATABASES {
            let state = inspect(dir.path(), name).unwrap();
            assert_eq!(state.version, state.known_version, "{name}");
            assert!(state.damage.is_none() && state.is_shrinking, "{name}: {state:?}");
        }
        drop(store);
    }

    #[test]
    fn a_damaged_page_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute("CREATE TABLE a (x BLOB)", []).unwrap();
        connection.execute("INSERT INTO a VALUES (zeroblob(100000))", []).unwrap();
        drop(connection);
        let mut bytes = fs::read(&path).unwrap();
        // The second page is the table's.
        bytes[4096..8192].fill(0xff);
        fs::write(&path, bytes).unwrap();
        match inspect(dir.path(), "records.sqlite") {
            Ok(state) => assert!(state.damage.is_some(), "{state:?}"),
            Err(error) => assert!(error.to_string().contains("malformed"), "{error}"),
        }
    }

    #[test]
    fn a_file_of_a_later_program_has_a_version_that_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("queue.sqlite")).unwrap();
        connection.pragma_update(None, "user_version", 1_000).unwrap();
        let state = inspect(dir.path(), "queue.sqlite").unwrap();
        assert!(state.version == 1_000 && state.known_version < 1_000, "{state:?}");
    }
}
