use std::{io, path::PathBuf};

use thiserror::Error;

/// Settings that cannot be used. One sentence that names the key, where it came from and the cure.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file that was named cannot be read.
    #[error("cannot read the settings file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A source is not of the form that settings have.
    #[error("the settings cannot be parsed: {0}")]
    Syntax(String),
    /// A key of an earlier version that has another name now.
    #[error("the setting `{key}` ({origin}) is now `{new}`: rename it")]
    Renamed {
        /// The key as it was before.
        key: String,
        /// The file or variable that sets it.
        origin: String,
        /// The key as it is now.
        new: &'static str,
    },
    /// A key that is a constant now.
    #[error(
        "the setting `{key}` ({origin}) no longer exists, as nobody needed another value: remove it"
    )]
    Removed {
        /// The key.
        key: String,
        /// The file or variable that sets it.
        origin: String,
    },
    /// A key that no setting has.
    #[error("unknown setting `{key}` ({origin}); the nearest known one is `{nearest}`")]
    Unknown {
        /// Section and key, with dots.
        key: String,
        /// Where it stands.
        origin: String,
        /// The known key that is most like it.
        nearest: String,
    },
    /// A secret on the command line, which every user of the machine can read.
    #[error(
        "the setting `{key}` is a secret, and the command line is no place for it: put it into the \
         settings file or the variable {variable}"
    )]
    OnCommandLine {
        /// Section and key, with dots.
        key: String,
        /// The variable that may hold it.
        variable: String,
    },
    /// A value of the wrong type or outside its bounds.
    #[error("the setting `{key}` is {value} ({origin}); wanted: {wanted}")]
    Invalid {
        /// Section and key, with dots.
        key: String,
        /// The value, but for secrets.
        value: String,
        /// Where it stands.
        origin: String,
        /// What would do.
        wanted: String,
    },
}
