//! A model folder: manifest, weights and labels, beside each other or fetched and verified.

mod cache;
mod download;
mod error;
pub(crate) mod file;
mod open;
#[cfg(test)]
mod tests;

pub use error::{FetchFileError, FolderError};
pub use file::FileError;
pub use open::{MANIFEST_FILE, ModelFolder, look};
