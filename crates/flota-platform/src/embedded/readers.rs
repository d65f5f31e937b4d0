use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use flota_core::{PortError, PortResult};
use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{database::connect, error::Fault};

/// Most reads of one file at a time: more would only take turns on the processor.
const MAX_READERS: usize = 4;

/// Connections that only read, each used by one caller at a time, off the runtime.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// Readers of the file at `path`; they connect when they are first needed.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), turns: Arc::new(Semaphore::new(MAX_READERS)) }
    }

    /// Reads from one state of the file, the latest that was committed.
    pub(super) async fn read<T, F>(&self, what: &'static str, read: F) -> PortResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let turn = self.turns.clone().acquire_owned().await.expect("the turns are never closed");
        let (idle, path) = (self.idle.clone(), self.path.clone());
        let reading = spawn_blocking(move || {
            let _turn = turn;
            let pooled = idle.lock().expect("nothing panics under this lock").pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => open(&path)?,
            };
            let result = read_once(&connection, read);
            if connection.is_autocommit() {
                idle.lock().expect("nothing panics under this lock").push(connection);
            }
            result
        });
        match reading.await {
            Ok(result) => result.map_err(|fault| fault.into_port(what)),
            Err(panic) => Err(PortError::permanent(what, panic)),
        }
    }
}

fn open(path: &std::path::Path) -> Result<Connection, Fault> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn read_once<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(connection);
    connection.prepare_cached("COMMIT")?.execute([])?;
    result
}
