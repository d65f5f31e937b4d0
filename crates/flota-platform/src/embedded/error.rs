use std::{
    io,
    path::{Path, PathBuf},
};

use flota_core::PortError;
use rusqlite::{ErrorCode, ffi};
use rustix::process::{Resource, getrlimit};
use thiserror::Error;

/// Why a data folder cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder, or a file in it, cannot be made or opened.
    #[error("the data folder cannot be used: {}", path.display())]
    Folder {
        /// Which folder or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is damaged, locked, or not a database.
    #[error("the database cannot be opened: {}", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A later program wrote the file.
    #[error(
        "{} has version {found}, and this program knows version {known}: use the program that \
         wrote it, or another data folder",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version that the file has.
        found: usize,
        /// The latest version that this program knows.
        known: usize,
    },
}

impl OpenError {
    /// Whether the file itself is what cannot be used, now and later.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Newer { .. } => true,
            Self::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
            ),
            Self::Folder { .. } => false,
        }
    }

    pub(super) fn folder(path: &Path, source: io::Error) -> Self {
        Self::Folder { path: path.to_owned(), source }
    }

    pub(super) fn database(path: &Path, source: rusqlite::Error) -> Self {
        Self::Database { path: path.to_owned(), source }
    }
}

/// Why one operation on a database failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// A record does not read or write as its type.
    Record(serde_json::Error),
    /// The operation itself refused.
    Refused(PortError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Record(error)
    }
}

impl From<PortError> for Fault {
    fn from(error: PortError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// As the ports say it; `what` was being done.
    pub(super) fn into_port(self, what: &str) -> PortError {
        match self {
            Self::Sql(error) => match sentence(&error) {
                Some(sentence) if is_transient(&error) => {
                    PortError::transient(format!("{what}: {sentence}"), error)
                }
                Some(sentence) if is_full(&error) => {
                    PortError::full(format!("{what}: {sentence}"), error)
                }
                Some(sentence) => PortError::permanent(format!("{what}: {sentence}"), error),
                None => PortError::permanent(what, error),
            },
            Self::Record(error) => {
                PortError::permanent(format!("{what}: the record is damaged"), error)
            }
            Self::Refused(error) => error,
        }
    }
}

/// Whether time may heal it: another held the lock.
fn is_transient(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || is_file_too_large(error)
}

/// Whether a file would pass the limit of file size. SQLite does not say so, but a write seldom fails
/// otherwise where there is such a limit.
fn is_file_too_large(error: &rusqlite::Error) -> bool {
    is_failed_write(error) && getrlimit(Resource::Fsize).current.is_some()
}

/// Whether bytes could not be added to a file. SQLite knows a full disk by another code.
fn is_failed_write(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE))
}

/// What an operator can act on, where the error is of that kind.
fn sentence(error: &rusqlite::Error) -> Option<&'static str> {
    if is_file_too_large(error) {
        return Some(
            "the disk of the data folder is full, for files may not be larger (ulimit -f)",
        );
    }
    Some(match error.sqlite_error_code()? {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => "the database stayed locked",
        ErrorCode::DiskFull => "the disk of the data folder is full",
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => "the data folder is not writable",
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => "the database is damaged",
        ErrorCode::SystemIoFailure => "the disk of the data folder failed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_another_holds_is_transient() {
        for (code, is_transient, says) in [
            (ffi::SQLITE_BUSY, true, "locked"),
            (ffi::SQLITE_BUSY_SNAPSHOT, true, "locked"),
            (ffi::SQLITE_FULL, false, "full"),
            (ffi::SQLITE_READONLY, false, "not writable"),
            (ffi::SQLITE_CORRUPT, false, "damaged"),
            (ffi::SQLITE_IOERR_FSYNC, false, "failed"),
            (ffi::SQLITE_MISUSE, false, "doing something"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = Fault::from(error).into_port("doing something");
            assert_eq!(error.is_transient(), is_transient, "{error}");
            assert!(error.to_string().contains(says), "{error}");
            let is_full = matches!(error, PortError::Full { .. });
            assert_eq!(is_full, code == ffi::SQLITE_FULL, "{error}");
        }
    }
}
