//! Opens a model folder: manifest, weights and labels, each there and what it should be.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use flota_core::{
    Asset, LabelMetadata, LabelSource, Manifest, ManifestError, ModelName, Sha256, WeightsSource,
    WorkerName, ports::Registration,
};
use flota_engine::{Hashed, LoadError, Model, Weights};
use jiff::Timestamp;
use tokio::task;

use super::{
    FileError, FolderError,
    cache::Cache,
    error::field_of,
    file::{RegularFile, SizeLimit},
};
use crate::Engines;

/// The manifest's name in the folder.
pub const MANIFEST_FILE: &str = "model.yaml";

/// A model folder whose files are there and hash to what the manifest says.
#[derive(Debug)]
pub struct ModelFolder {
    dir: PathBuf,
    /// How errors name the manifest.
    manifest_file: String,
    manifest_text: String,
    manifest: Manifest,
    weights: Weights,
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
        Self::open_as(dir, &dir.join(MANIFEST_FILE).display().to_string(), cache_dir).await
    }

    /// [Opens](Self::open) a folder whose manifest is called `file` in errors.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn open_as(dir: &Path, file: &str, cache_dir: &Path) -> Result<Self, FolderError> {
        let manifest_text = read_manifest(dir, file)?;
        let file = file.to_owned();
        let manifest = Manifest::parse(&file, &manifest_text)?;
        let place = Place { dir, file: &file, text: &manifest_text };
        let cache = Cache::new(cache_dir);
        let onnx = place.read("weights", &manifest.weights.onnx, &cache, SizeLimit::ONNX).await?;
        let mut data = BTreeMap::new();
        let mut left = SizeLimit::DATA;
        for file in &manifest.weights.data {
            let read = place.read("weights", &file.asset, &cache, left).await?;
            left = left.less(read.bytes().len() as u64);
            data.insert(file.location.clone(), read);
        }
        let weights = Weights::new(onnx, data);
        let (labels, labels_hash) = match &manifest.labels {
            None => (Vec::new(), None),
            Some(LabelSource::Inline(labels)) => (labels.clone(), None),
            Some(LabelSource::Metadata(metadata)) => {
                let labels = labels_in(&weights, metadata);
                (labels.map_err(|error| place.refuse("labels", error))?, None)
            }
            Some(LabelSource::Lines(lines)) => {
                let read = place.read("labels", &lines.asset, &cache, SizeLimit::LABELS).await?;
                let text = std::str::from_utf8(read.bytes())
                    .map_err(|_| place.refuse("labels", "the labels are not UTF-8".to_owned()))?;
                let labels = lines.read(text).map_err(|error| place.refuse("labels", error))?;
                (labels, Some(read.sha256()))
            }
        };
        let digest = manifest.digest(&weights.sha256(), labels_hash.as_ref());
        let dir = dir.to_owned();
        Ok(Self { dir, manifest_file: file, manifest_text, manifest, weights, labels, digest })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
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
    /// other. It takes seconds of a core; where it takes longer than `engine.load_timeout_ms`, the process
    /// ends, for nothing can stop an engine.
    ///
    /// # Errors
    /// What does not fit what, with file, line and cure.
    pub fn load(self, engines: &Engines) -> Result<Model, FolderError> {
        let file = self.manifest_file;
        let source = self.manifest.weights.clone();
        engines.load(self.manifest, &self.weights, self.labels).map_err(|error| {
            let (field, error) = (field_of(&error), in_folder(error, &source));
            ManifestError::about(&file, &self.manifest_text, field, error.to_string()).into()
        })
    }
}

/// The labels in the metadata of the ONNX file `weights`.
fn labels_in(weights: &Weights, metadata: &LabelMetadata) -> Result<Vec<String>, String> {
    let key = &metadata.key;
    let known = weights.metadata();
    match known.get(key) {
        Some(text) => metadata.read(text),
        None if known.is_empty() => {
            Err(format!("the ONNX file has no metadata, so no `{key}`: list the labels"))
        }
        None => {
            let keys: Vec<_> = known.keys().map(String::as_str).collect();
            Err(format!("the ONNX file has no metadata `{key}`; it has {}", keys.join(", ")))
        }
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
    let file = dir.join(MANIFEST_FILE).display().to_string();
    let text = read_manifest(dir, &file)?;
    let manifest = Manifest::parse(&file, &text)?;
    let place = Place { dir, file: &file, text: &text };
    let hash = |field, asset: &Asset, limit: &mut SizeLimit| match asset {
        Asset::File { file, sha256 } => {
            let opened = place.open_file(field, file, *limit)?;
            *limit = limit.less(opened.size_bytes());
            let found = opened.hash().map_err(|error| place.unread(field, error))?;
            place.check_hash(field, file, found, sha256.as_ref())
        }
        Asset::Url { sha256, .. } => Ok(*sha256),
    };
    let onnx = hash("weights", &manifest.weights.onnx, &mut { SizeLimit::ONNX })?;
    let mut data = BTreeMap::new();
    let mut left = SizeLimit::DATA;
    for file in &manifest.weights.data {
        data.insert(file.location.clone(), hash("weights", &file.asset, &mut left)?);
    }
    let weights = WeightsSource::hash(&onnx, &data);
    let labels = match &manifest.labels {
        Some(LabelSource::Lines(lines)) => {
            Some(hash("labels", &lines.asset, &mut { SizeLimit::LABELS })?)
        }
        Some(LabelSource::Inline(_) | LabelSource::Metadata(_)) | None => None,
    };
    let digest = manifest.digest(&weights, labels.as_ref());
    let worker = worker_of(&manifest.name);
    Ok(Registration::new(manifest, digest, worker, now))
}

fn read_manifest(dir: &Path, file: &str) -> Result<String, FolderError> {
    let read = RegularFile::open_in(dir, Path::new(MANIFEST_FILE), SizeLimit::MANIFEST)
        .and_then(RegularFile::read);
    match read {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => {
                let reason = "the manifest is not UTF-8".to_owned();
                Err(ManifestError { file: file.to_owned(), line: 1, reason }.into())
            }
        },
        Err(error) if error.is_missing() => Err(FolderError::NoManifest(dir.join(MANIFEST_FILE))),
        Err(error) => Err(error.into()),
    }
}

/// The error as the author of the manifest needs it: a manifest lists files by their paths from its own
/// folder, and an ONNX file calls them by those from where it lies.
fn in_folder(error: LoadError, source: &WeightsSource) -> LoadError {
    let Asset::File { file, .. } = &source.onnx else { return error };
    let folder = file.parent().unwrap_or(Path::new(""));
    match error {
        LoadError::DataNotListed(locations) => {
            let path = |location: String| folder.join(location).display().to_string();
            LoadError::DataNotListed(locations.into_iter().map(path).collect())
        }
        other => other,
    }
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
        limit: SizeLimit,
    ) -> Result<Hashed, FolderError> {
        match asset {
            Asset::File { file, sha256 } => {
                let opened = self.open_file(field, file, limit)?;
                // Weights of gigabytes take seconds, which no other task is to wait for.
                let reading = task::spawn_blocking(move || opened.read().map(Hashed::new));
                let read = reading.await.expect("reading does not panic");
                let read = read.map_err(|error| self.unread(field, error))?;
                self.check_hash(field, file, read.sha256(), sha256.as_ref())?;
                Ok(read)
            }
            Asset::Url { url, sha256 } => cache.read(url, sha256, limit).await.map_err(|source| {
                let ManifestError { file: manifest, line, .. } =
                    ManifestError::about(self.file, self.text, field, String::new());
                FolderError::Fetch { manifest, line, source: Box::new(source) }
            }),
        }
    }

    fn open_file(
        &self,
        field: &str,
        file: &Path,
        limit: SizeLimit,
    ) -> Result<RegularFile, FolderError> {
        let opened = RegularFile::open_in(self.dir, file, limit);
        opened.map_err(|error| self.unread(field, error))
    }

    fn unread(&self, field: &str, error: FileError) -> FolderError {
        match &error {
            FileError::Unreadable { path, .. } if error.is_missing() => {
                let reason = format!(
                    "`{field}` names {}, which is not there: put it there or correct the name",
                    path.display()
                );
                self.refuse(field, reason)
            }
            FileError::Unreadable { .. } | FileError::Changed(_) => error.into(),
            other => self.refuse(field, other.to_string()),
        }
    }

    fn check_hash(
        &self,
        field: &str,
        file: &Path,
        found: Sha256,
        wanted: Option<&Sha256>,
    ) -> Result<Sha256, FolderError> {
        match wanted {
            Some(wanted) if *wanted != found => {
                let reason = format!(
                    "{} hashes to {found}, not to {wanted}: put the right file there or correct \
                     `sha256`",
                    self.dir.join(file).display()
                );
                Err(self.refuse(field, reason))
            }
            _ => Ok(found),
        }
    }

    fn refuse(&self, field: &str, reason: String) -> FolderError {
        ManifestError::about(self.file, self.text, field, reason).into()
    }
}
