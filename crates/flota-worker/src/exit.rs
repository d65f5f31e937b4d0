//! What a process tells its supervisor by its exit code.

use std::io;

use flota_core::PortError;
use flota_platform::{OpenError, settings::SettingsError};

use crate::{FetchFileError, FolderError, GoldenMismatch, registering::Refused};

/// What a process exits with that cannot work now, for a cause outside of it that passes: the store is
/// away, a database is locked, a disk is full, an address is taken. `EX_TEMPFAIL` of sysexits.h: a
/// supervisor starts it again until it works.
pub const EXIT_NOT_NOW: u8 = 75;
/// What a process exits with that can never work as it is set up: its model, its settings or its data
/// must change. `EX_CONFIG` of sysexits.h: a supervisor need not start it again.
pub const EXIT_CONFIG: u8 = 78;
/// What it exits with where nothing is known of the cause.
const EXIT_FAILURE: u8 = 1;

/// The exit code of a process that `error` ended.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is_never = is(error, FolderError::is_permanent)
        || is(error, OpenError::is_permanent)
        || is(error, |_: &GoldenMismatch| true)
        || is(error, |_: &Refused| true)
        || is(error, |_: &SettingsError| true);
    let is_not_now = is(error, |_: &io::Error| true)
        || is(error, |_: &PortError| true)
        || is(error, |_: &OpenError| true)
        || is(error, |_: &FetchFileError| true)
        || is(error, |_: &FolderError| true);
    match (is_never, is_not_now) {
        (true, _) => EXIT_CONFIG,
        (false, true) => EXIT_NOT_NOW,
        (false, false) => EXIT_FAILURE,
    }
}

/// Whether `error`, its context or one of its causes is one that `test` says true of.
fn is<E>(error: &anyhow::Error, test: impl Fn(&E) -> bool) -> bool
where
    E: std::error::Error + Send + Sync + 'static,
{
    error.downcast_ref().is_some_and(&test)
        || error.chain().filter_map(|cause| cause.downcast_ref()).any(test)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::anyhow;
    use flota_platform::settings::Settings;

    use super::*;
    use crate::FileError;

    #[test]
    fn what_must_be_changed_first_is_not_worth_another_start() {
        let missing = FolderError::NoManifest(PathBuf::from("model.yaml"));
        assert_eq!(exit_code(&anyhow::Error::from(missing).context("opening")), EXIT_CONFIG);
        let pipe = FolderError::from(FileError::NotRegular(PathBuf::from("pipe")));
        assert_eq!(exit_code(&pipe.into()), EXIT_CONFIG);
        let unknown = [("worker.leese_ms".to_owned(), "1".to_owned())];
        let unknown = Settings::from_sources(None, [], &unknown).unwrap_err();
        assert_eq!(exit_code(&unknown.into()), EXIT_CONFIG);
        assert_eq!(exit_code(&Refused::nameless().into()), EXIT_CONFIG);
    }

    #[test]
    fn what_passes_is_worth_another_start() {
        let source = || io::Error::other("the disk is away");
        let unreadable =
            FileError::Unreadable { path: PathBuf::from("model.yaml"), source: source() };
        assert_eq!(exit_code(&FolderError::from(unreadable).into()), EXIT_NOT_NOW);
        assert_eq!(exit_code(&anyhow::Error::from(source()).context("listening")), EXIT_NOT_NOW);
        let full = PortError::full("registering a model", "no room");
        assert_eq!(exit_code(&anyhow::Error::from(full).context("registering")), EXIT_NOT_NOW);
        let away = PortError::permanent("registering a model", "not allowed");
        assert_eq!(exit_code(&away.into()), EXIT_NOT_NOW, "somebody may allow it meanwhile");
        assert_eq!(exit_code(&anyhow!("who knows")), EXIT_FAILURE);
    }
}
