//! Opens a model folder: manifest, weights and labels, each there and what it should be.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use flota_core::{
    Asset, LabelSource, Manifest, ManifestError, ModelName, Output, Sha256, WorkerName,
    ports::Registration,
};
use flota_engine::{Model, Session};
use jiff::Timestamp;

use super::{FolderError, cache::Cache, error::field_of};
use crate::Engines;

/// The manifest's name in the folder.
pub const MANIFEST_FILE: &str = "model.yaml";

/// A model folder whose files are there and hash to what the manifest says.
#[derive(Debug)]
pub struct ModelFolder {
    manifest_path: PathBuf,
    manifest_text: String,
    manifest: Manifest,
    weights: Vec<u8>,
    labels: Vec<String>,
    digest: Sha256,
}

impl ModelFolder {
    /// Reads `dir`. What its manifest names by address is looked up in `cache_dir`, and fetched
    /// into it with a progress bar on a terminal where it is not there.
    ///
    /// # Errors
    /// What is missing, wrong or not to be had, with file, line and cure.
    pub async fn open(dir: &Path, cache_dir: &Path) -> Result<Self, FolderError> {
        let (manifest_path, manifest_text) = read_manifest(dir)?;
        let file = manifest_path.display().to_string();
        let manifest = Manifest::parse(&file, &manifest_text)?;
        let place = Place { dir, file: &file, text: &manifest_text };
        let cache = Cache::new(cache_dir);
        let (weights, weights_hash) = place.read("weights", &manifest.weights, &cache).await?;
        let (labels, labels_hash) = match &manifest.labels {
            None => (Vec::new(), None),
            Some(LabelSource::Inline(labels)) => (labels.clone(), None),
            Some(LabelSource::Lines(lines)) => {
                let (bytes, hash) = place.read("labels", &lines.asset, &cache).await?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| place.refuse("labels", "the labels are not UTF-8".to_owned()))?;
                (lines.read(&text), Some(hash))
            }
        };
        let digest = manifest.digest(&weights_hash, labels_hash.as_ref());
        Ok(Self { manifest_path, manifest_text, manifest, weights, labels, digest })
    }

    /// What `model.yaml` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The digest of weights, labels, pre- and postprocessing.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// What makes the model known, as served by `worker`.
    pub fn registration(&self, worker: WorkerName, now: Timestamp) -> Registration {
        Registration::new(self.manifest.clone(), self.digest, worker, now)
    }

    /// Loads the network into one of `engines` and checks it, manifest and labels against each
    /// other. It takes seconds of a core.
    ///
    /// # Errors
    /// What does not fit what, with file, line and cure.
    pub fn load(self, engines: &Engines) -> Result<Model, FolderError> {
        let file = self.manifest_path.display().to_string();
        engines.load(self.manifest, &self.weights, self.labels).map_err(|error| {
            let field = field_of(&error);
            ManifestError::about(&file, &self.manifest_text, field, error.to_string()).into()
        })
    }
}

/// What makes the model in `dir` known to a store, without fetching anything: what its manifest
/// names by address is taken to hash to what stands beside the address. `worker_of` says who serves
/// it.
///
/// # Errors
/// What is missing or wrong, with file, line and cure.
pub fn look(
    dir: &Path,
    worker_of: impl Fn(&ModelName) -> WorkerName,
    now: Timestamp,
) -> Result<Registration, FolderError> {
    let (path, text) = read_manifest(dir)?;
    let file = path.display().to_string();
    let manifest = Manifest::parse(&file, &text)?;
    let place = Place { dir, file: &file, text: &text };
    let hash = |field, asset: &Asset| match asset {
        Asset::File { file, sha256 } => {
            place.read_file(field, file, sha256.as_ref()).map(|(_, hash)| hash)
        }
        Asset::Url { sha256, .. } => Ok(*sha256),
    };
    let weights = hash("weights", &manifest.weights)?;
    let labels = match &manifest.labels {
        Some(LabelSource::Lines(lines)) => Some(hash("labels", &lines.asset)?),
        Some(LabelSource::Inline(_)) | None => None,
    };
    let digest = manifest.digest(&weights, labels.as_ref());
    let worker = worker_of(&manifest.name);
    Ok(Registration::new(manifest, digest, worker, now))
}

fn read_manifest(dir: &Path) -> Result<(PathBuf, String), FolderError> {
    let path = dir.join(MANIFEST_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FolderError::NoManifest(path)),
        Err(source) => Err(FolderError::Unreadable { path, source }),
    }
}

/// What `model`, run by `session`, says of the image in `bytes`, without a queue: for checking a
/// model folder.
///
/// # Errors
/// If the image cannot be decoded, or the network cannot run on it.
pub fn predict(model: &Model, session: &mut dyn Session, bytes: &[u8]) -> anyhow::Result<Output> {
    let image = model.decode(bytes)?;
    let answers = session.run(&[model.prepare(&image)])?;
    let numbers = answers.first().context("the network gave no answer")?;
    Ok(model.label(numbers)?)
}

/// Where a manifest lies, and what it says, for errors about it.
struct Place<'a> {
    dir: &'a Path,
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    async fn read(
        &self,
        field: &str,
        asset: &Asset,
        cache: &Cache<'_>,
    ) -> Result<(Vec<u8>, Sha256), FolderError> {
        match asset {
            Asset::File { file, sha256 } => self.read_file(field, file, sha256.as_ref()),
            Asset::Url { url, sha256 } => {
                let read = cache.read(url, sha256).await.map_err(|source| {
                    let ManifestError { file: manifest, line, .. } =
                        ManifestError::about(self.file, self.text, field, String::new());
                    FolderError::Fetch { manifest, line, source }
                })?;
                Ok((read, *sha256))
            }
        }
    }

    fn read_file(
        &self,
        field: &str,
        file: &Path,
        wanted: Option<&Sha256>,
    ) -> Result<(Vec<u8>, Sha256), FolderError> {
        let path = self.dir.join(file);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!(
                    "`{field}` names {}, which is not there: put it there or correct the name",
                    path.display()
                );
                return Err(self.refuse(field, reason));
            }
            Err(source) => return Err(FolderError::Unreadable { path, source }),
        };
        let found = Sha256::of(&bytes);
        match wanted {
            Some(wanted) if *wanted != found => {
                let reason = format!(
                    "{} hashes to {found}, not to {wanted}: put the right file there or correct \
                     `sha256`",
                    path.display()
                );
                Err(self.refuse(field, reason))
            }
            _ => Ok((bytes, found)),
        }
    }

    fn refuse(&self, field: &str, reason: String) -> FolderError {
        ManifestError::about(self.file, self.text, field, reason).into()
    }
}
