use std::{io, path::PathBuf};

use flota_core::{ManifestError, Sha256};
use flota_engine::LoadError;
use reqwest::StatusCode;
use thiserror::Error;

use super::FileError;

/// A model folder that cannot be served. The sentence names file, line and cure.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A file of the folder is not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no manifest.
    #[error("there is no {}: a model folder holds model.yaml, weights and labels", .0.display())]
    NoManifest(PathBuf),
    /// The manifest is wrong, or the files are not what it says.
    #[error(transparent)]
    Refused(#[from] ManifestError),
    /// A file that is named by its address cannot be had.
    #[error("{manifest}:{line}: {source}")]
    Fetch {
        /// The manifest's file.
        manifest: String,
        /// Where it names the address.
        line: u64,
        /// Why not.
        source: Box<FetchFileError>,
    },
}

impl FolderError {
    /// Whether the folder itself is wrong, so that opening it again ends the same.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoManifest(_) | Self::Refused(_) => true,
            Self::File(error) => {
                !matches!(error, FileError::Unreadable { .. } | FileError::Changed(_))
            }
            Self::Fetch { .. } => false,
        }
    }
}

/// A file of a model that cannot be fetched.
#[derive(Debug, Error)]
pub enum FetchFileError {
    /// The cache cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Cache {
        /// Which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A kept file is not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// The server has it not, or not for us.
    #[error("{url} answered {status}: correct the address, or put the file where it leads")]
    Refused {
        /// The address, without its query.
        url: String,
        /// What the server answered.
        status: StatusCode,
    },
    /// Something else came than the manifest promises.
    #[error(
        "what {url} gives hashes to {found}, not to {wanted}; it is not used: correct `sha256` \
        or the address"
    )]
    WrongHash {
        /// The address, without its query.
        url: String,
        /// What it hashes to.
        found: Sha256,
        /// What the manifest says.
        wanted: Sha256,
    },
    /// More came than the weights of a model may be.
    #[error("{url} gives more than {limit_bytes} bytes")]
    TooLarge {
        /// The address, without its query.
        url: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The connection broke or the server failed too often.
    #[error(
        "{url} could not be fetched in {tries} tries, the last one ended so: {reason}; {}. Without a network, \
        put the file there as {}",
        if *came_bytes > 0 { "what came is kept, and the next start goes on from there" } else { "nothing came" },
        kept.display()
    )]
    Unfinished {
        /// The address, without its query.
        url: String,
        /// How often it was tried in a row without a byte more.
        tries: u32,
        /// How the last try ended.
        reason: String,
        /// How much of it is there.
        came_bytes: u64,
        /// Where it is kept once it is whole.
        kept: PathBuf,
    },
}

/// The manifest's field that a loading error is about.
pub(super) fn field_of(error: &LoadError) -> &'static str {
    match error {
        LoadError::NotOnnx(_)
        | LoadError::TrainingMode(_)
        | LoadError::DataNotListed(_)
        | LoadError::DataUnused(_)
        | LoadError::DataOutside(_)
        | LoadError::DataWithoutPlace { .. }
        | LoadError::DataTooShort { .. }
        | LoadError::DataLength { .. }
        | LoadError::TooMuchInside { .. }
        | LoadError::CompiledElsewhere
        | LoadError::ManyInputs { .. }
        | LoadError::Engine(_)
        | LoadError::NeedsOnnxRuntime(_)
        | LoadError::FirstRun(_) => "weights",
        LoadError::None { role }
        | LoadError::NoSuchName { role, .. }
        | LoadError::Ambiguous { role, .. } => role,
        LoadError::InputMismatch { .. } => "input",
        LoadError::NeedsCode { .. } | LoadError::CodeParameters(_) => "code",
        LoadError::LabelCount { .. } => "labels",
        LoadError::OutputMismatch { .. }
        | LoadError::NoSuchLabel(_)
        | LoadError::TooLarge(_)
        | LoadError::EmbeddingTooLong { .. } => "output",
    }
}
