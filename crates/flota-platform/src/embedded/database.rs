use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use flota_core::PortResult;
use rusqlite::Connection;

use super::{OpenError, error::Fault, readers::Readers, schema::Schema, vacuum, writer::Writer};

/// How long a write waits for other processes; a heartbeat waits longer.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long to sleep between two looks at the lock: others hold it for about as long.
const LOCK_LOOK: Duration = Duration::from_micros(500);
/// Distinct statements are some dozens; all stay prepared.
const STATEMENT_CACHE: usize = 128;
/// Pages of the log after which it is copied into the file, 16 MiB: many small copies would each
/// cost a sync.
const CHECKPOINT_PAGES: i64 = 4_096;
/// What is left of the log's file after a burst, in bytes.
const LOG_FILE_BYTES: i64 = 64 * 1024 * 1024;

/// One file: a writer and some readers.
pub(super) struct Database {
    writer: Writer,
    readers: Readers,
}

impl Database {
    /// Opens the file, or makes it, and brings it to this program's version. One process at a
    /// time may be here.
    ///
    /// # Errors
    /// If the file cannot be opened, is damaged, or was written by a later program.
    pub(super) fn open(path: &Path, schema: &Schema) -> Result<Self, OpenError> {
        let fail = |source| OpenError::database(path, source);
        let mut connection = connect(path).map_err(fail)?;
        vacuum::prepare(&connection).map_err(fail)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
        schema.migrate(path, &mut connection)?;
        vacuum::convert(path, &connection).map_err(fail)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let writer = Writer::start(&format!("write-{name}"), connection)
            .map_err(|source| OpenError::folder(path, source))?;
        Ok(Self { writer, readers: Readers::new(path.to_owned()) })
    }

    /// Writes, together with whatever else waits; `Ok` means durable.
    pub(super) async fn write<T, F>(&self, what: &'static str, write: F) -> PortResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.writer.write(what, write, |_| ()).await
    }

    /// Writes, and calls `after` once it is durable.
    pub(super) async fn write_then<T, F, A>(
        &self,
        what: &'static str,
        write: F,
        after: A,
    ) -> PortResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        self.writer.write(what, write, after).await
    }

    /// Reads from the latest state that was committed.
    pub(super) async fn read<T, F>(&self, what: &'static str, read: F) -> PortResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.readers.read(what, read).await
    }
}

/// A connection on which a commit is durable and a lock is waited for.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    let mut since = Instant::now();
    // SQLite's own waiting sleeps up to a tenth of a second and would lose to a busy neighbour.
    connection.busy_handler(Some(move |looks| {
        if looks == 0 {
            since = Instant::now();
        }
        thread::sleep(LOCK_LOOK);
        since.elapsed() < LOCK_WAIT
    }))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_FILE_BYTES)?;
    Ok(connection)
}
