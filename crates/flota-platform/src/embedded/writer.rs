use std::thread;

use flota_core::{PortError, PortResult};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::Fault;

/// Most operations in one transaction, so that a heartbeat waits for few.
const MAX_GROUP: usize = 128;
/// Operations that may wait for the writer before callers wait for room.
const MAX_WAITING: usize = 1024;

/// The one thread of this process that writes to a file. It puts all operations that wait into
/// one transaction, each undone alone if it fails, syncs once, and then answers them all.
pub(super) struct Writer {
    operations: mpsc::Sender<Box<dyn Operation>>,
}

/// An operation that waits for its turn, and then for the commit.
trait Operation: Send {
    /// Runs within a savepoint; false to undo it.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Answers the caller, once what was written is durable or lost.
    fn answer(self: Box<Self>, committed: &Result<(), Lost>);
}

/// A transaction that was not committed, and why.
struct Lost(PortError);

impl Lost {
    /// As one of its operations says it; `what` was being done.
    fn of_operation(&self, what: &str) -> PortError {
        let why = self.0.to_string();
        match self.0 {
            PortError::Transient { .. } => PortError::transient(what, why),
            PortError::Full { .. } => PortError::full(what, why),
            PortError::TooLarge { .. } => PortError::TooLarge { what: why },
            PortError::Permanent { .. } => PortError::permanent(what, why),
        }
    }
}

struct Waiting<T, F, A> {
    what: &'static str,
    write: Option<F>,
    after: A,
    result: Option<PortResult<T>>,
    caller: oneshot::Sender<PortResult<T>>,
}

impl Writer {
    /// Starts the thread, which ends when the writer is dropped.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub(super) fn start(name: &str, connection: Connection) -> std::io::Result<Self> {
        let (operations, waiting) = mpsc::channel(MAX_WAITING);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_all(&connection, waiting))?;
        Ok(Self { operations })
    }

    /// Writes and answers once it is durable; calls `after` then, even if nobody waits any more.
    pub(super) async fn write<T, F, A>(
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
        let (caller, answer) = oneshot::channel();
        let operation = Waiting { what, write: Some(write), after, result: None, caller };
        let gone = |_| PortError::permanent(what, "the thread that writes the database is gone");
        self.operations.send(Box::new(operation)).await.map_err(|error| gone(error.to_string()))?;
        answer.await.map_err(|error| gone(error.to_string()))?
    }
}

impl<T, F, A> Operation for Waiting<T, F, A>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let write = self.write.take().expect("an operation runs once");
        let result = write(connection).map_err(|fault| fault.into_port(self.what));
        self.result.insert(result).is_ok()
    }

    fn answer(self: Box<Self>, committed: &Result<(), Lost>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => {
                (self.after)(&value);
                Ok(value)
            }
            (_, Err(lost)) => Err(lost.of_operation(self.what)),
            (None, Ok(())) => unreachable!("every operation of a committed transaction has run"),
        };
        // A caller that went away does not want the answer.
        let _ = self.caller.send(result);
    }
}

fn write_all(connection: &Connection, mut waiting: mpsc::Receiver<Box<dyn Operation>>) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while waiting.blocking_recv_many(&mut group, MAX_GROUP) > 0 {
        let committed = commit(connection, &mut group);
        if committed.is_err() && !connection.is_autocommit() {
            // Where this fails too, the next BEGIN fails and says so.
            let _ = execute(connection, "ROLLBACK");
        }
        for operation in group.drain(..) {
            operation.answer(&committed);
        }
    }
}

fn commit(connection: &Connection, group: &mut [Box<dyn Operation>]) -> Result<(), Lost> {
    execute(connection, "BEGIN IMMEDIATE")?;
    for operation in group {
        execute(connection, "SAVEPOINT operation")?;
        let is_kept = operation.run(connection);
        if connection.is_autocommit() {
            // SQLite undoes everything where the disk is full or fails.
            let what = "another write in the same transaction failed";
            return Err(Lost(PortError::Transient { what: what.to_owned(), source: None }));
        }
        if !is_kept {
            execute(connection, "ROLLBACK TO operation")?;
        }
        execute(connection, "RELEASE operation")?;
    }
    execute(connection, "COMMIT")
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Lost> {
    let run = || connection.prepare_cached(sql)?.execute([]);
    match run() {
        Ok(_) => Ok(()),
        Err(error) => Err(Lost(Fault::Sql(error).into_port("writing to the database"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const KEEP: &str = "INSERT INTO kept VALUES (?1, ?2)";

    fn database(folder: &tempfile::TempDir) -> Connection {
        let connection = Connection::open(folder.path().join("some.sqlite")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection
            .execute_batch("CREATE TABLE kept (n INTEGER UNIQUE, body TEXT) STRICT;")
            .unwrap();
        connection
    }

    async fn keep(writer: &Writer, n: i64, body: String) -> PortResult<()> {
        let write = move |connection: &Connection| {
            connection.execute(KEEP, (n, &body))?;
            // A second row that fails where `n` is kept already takes the first with it.
            connection.execute(KEEP, (n / 2 * 2 + 1_000, ""))?;
            Ok(())
        };
        writer.write("keeping a row", write, |()| ()).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_that_fails_is_undone_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let writer = Arc::new(Writer::start("test", database(&folder)).unwrap());
        let kept: Vec<_> = (0..40)
            .map(|n| {
                let writer = writer.clone();
                tokio::spawn(async move { keep(&writer, n, String::new()).await })
            })
            .collect();
        let mut kept_count: i64 = 0;
        for kept in kept {
            kept_count += i64::from(kept.await.unwrap().is_ok());
        }
        assert_eq!(kept_count, 20, "of each two, one");
        let reader = Connection::open(folder.path().join("some.sqlite")).unwrap();
        let rows: i64 =
            reader.query_row("SELECT count(*) FROM kept", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2 * kept_count, "nothing of the others stayed");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_is_said_and_spoils_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let connection = database(&folder);
        connection.pragma_update(None, "max_page_count", 20).unwrap();
        let writer = Writer::start("test", connection).unwrap();
        let error = keep(&writer, 2, "x".repeat(200_000)).await.unwrap_err();
        assert!(matches!(error, PortError::Full { .. }), "{error:?}");
        assert!(error.to_string().contains("disk of the data folder is full"), "{error}");
        keep(&writer, 4, "small".to_owned()).await.unwrap();
    }

    #[test]
    fn an_operation_that_is_lost_with_its_transaction_says_why() {
        let code = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let lost = |error| Lost(Fault::Sql(error).into_port("committing")).of_operation("keeping");
        let full = lost(code(rusqlite::ffi::SQLITE_FULL));
        assert!(matches!(full, PortError::Full { .. }), "{full:?}");
        assert!(lost(code(rusqlite::ffi::SQLITE_BUSY)).is_transient());
        let corrupt = lost(code(rusqlite::ffi::SQLITE_CORRUPT));
        assert!(matches!(corrupt, PortError::Permanent { .. }), "{corrupt:?}");
    }
}
