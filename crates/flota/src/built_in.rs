//! Our models and the example images, compiled into the command so that it works in an empty folder.
//! `build.rs` finds them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use flota_core::{Manifest, ModelName, Sha256Hasher};
use flota_platform::{create_private_dir, settings::Settings};
use flota_worker::{MANIFEST_FILE, ModelCodes, ModelFolder};
use tempfile::{NamedTempFile, TempDir};

use crate::unpacked::{self, InUse};

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// A file's path in its folder, and its bytes.
type File = (&'static str, &'static [u8]);
/// So many digits of a hash keep the contents of different builds apart.
const HASH_DIGITS: usize = 16;

/// A model that was compiled in.
#[derive(Debug)]
pub(crate) struct BuiltInModel {
    /// What its manifest says.
    pub manifest: Manifest,
    name: &'static str,
    files: &'static [File],
}

/// A compiled-in model on disk. While this lives, no other command [removes](remove_unused) it.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Where it is.
    pub folder: PathBuf,
    _in_use: InUse,
}

/// Every model that was compiled in, by the names of their folders.
///
/// # Errors
/// If a manifest is wrong, with its line.
pub(crate) fn models() -> anyhow::Result<Vec<BuiltInModel>> {
    let read = |(name, files): &(&'static str, &'static [File])| {
        let file = manifest_file(name);
        let (_, bytes) = manifest_of(files).with_context(|| format!("{file} is missing"))?;
        let text = str::from_utf8(bytes).with_context(|| format!("{file} is not UTF-8"))?;
        Ok(BuiltInModel { manifest: Manifest::parse(&file, text)?, name, files })
    };
    MODELS.iter().map(read).collect()
}

/// The code of the compiled-in models that have some.
pub(crate) fn codes() -> ModelCodes {
    [flota_image_quality::code()].into()
}

/// How errors name a compiled-in manifest.
fn manifest_file(name: &str) -> String {
    format!("(compiled in) {name}/{MANIFEST_FILE}")
}

fn manifest_of(files: &[File]) -> Option<&File> {
    files.iter().find(|(path, _)| *path == MANIFEST_FILE)
}

impl BuiltInModel {
    /// The folder under `dir` that it is unpacked into; its name says its content.
    pub fn folder_in(&self, dir: &Path) -> PathBuf {
        dir.join(self.content()).join(self.name)
    }

    fn content(&self) -> String {
        let mut hasher = Sha256Hasher::default();
        for (path, bytes) in self.files {
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path.as_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        let mut content = hasher.finish().to_string();
        content.truncate(HASH_DIGITS);
        content
    }

    /// Writes the model into [its folder](Self::folder_in) under `dir`. What is there is compared byte for byte
    /// and written again where it differs.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn unpack(&self, dir: &Path) -> anyhow::Result<Unpacked> {
        let folder = self.folder_in(dir);
        // Held first: another build must not remove what is being written.
        let in_use = InUse::hold(dir, &self.content());
        // Its manifest makes a folder a model: it is there once all the rest is.
        let (manifest, others): (Vec<File>, Vec<File>) =
            self.files.iter().partition(|(path, _)| *path == MANIFEST_FILE);
        write_all(&folder, &others)?;
        write_all(&folder, &manifest)?;
        Ok(Unpacked { folder, _in_use: in_use })
    }
}

/// Removes from `dir` the models that other builds unpacked and that no process has in use. What cannot be removed
/// stays.
pub(crate) fn remove_unused(dir: &Path) {
    let ours: Vec<String> =
        models().unwrap_or_default().iter().map(BuiltInModel::content).collect();
    unpacked::remove_unused(dir, HASH_DIGITS, &ours);
}

/// Where a fleet unpacks compiled-in models: its data folder, which nobody clears while it runs.
pub(crate) fn unpacked_dir(settings: &Settings) -> PathBuf {
    settings.data_dir.join("models")
}

/// The folder of a model that is given as a folder, or by name where it was compiled in and there is no
/// such folder. The second is what it was unpacked into, and must outlive the use.
///
/// # Errors
/// If it cannot be unpacked.
pub(crate) fn folder_of(given: &Path) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let Some(model) = named(given)? else { return Ok((given.to_owned(), None)) };
    let temporary = TempDir::with_prefix("flota-model-").context("no temporary folder")?;
    Ok((model.unpack(temporary.path())?.folder, Some(temporary)))
}

/// Opens the model that is given as [`folder_of`] takes it. Errors name the manifest as it was given, and
/// not where a compiled-in one was unpacked.
///
/// # Errors
/// If it cannot be unpacked, or is wrong: with file, line and cure.
pub(crate) async fn open(
    given: &Path,
    settings: &Settings,
) -> anyhow::Result<(ModelFolder, Option<TempDir>)> {
    let (dir, unpacked) = folder_of(given)?;
    let file = match &unpacked {
        Some(_) => manifest_file(&given.display().to_string()),
        None => dir.join(MANIFEST_FILE).display().to_string(),
    };
    Ok((ModelFolder::open_as(&dir, &file, &settings.weights_dir()).await?, unpacked))
}

/// The compiled-in model whose name is given where there is no such folder.
///
/// # Errors
/// If a compiled-in manifest is wrong.
pub(crate) fn named(given: &Path) -> anyhow::Result<Option<BuiltInModel>> {
    let name = given.to_str().and_then(|text| text.parse::<ModelName>().ok());
    let Some(name) = name.filter(|_| !given.exists()) else { return Ok(None) };
    Ok(models()?.into_iter().find(|model| model.manifest.name == name))
}

/// Writes the example images into `folder` and returns their files, by name.
///
/// # Errors
/// If there are none, or they cannot be written.
pub(crate) fn unpack_images(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if IMAGES.is_empty() {
        return Err(anyhow!("this command was built without example images: name your own"));
    }
    write_all(folder, IMAGES)?;
    Ok(IMAGES.iter().map(|(name, _)| folder.join(name)).collect())
}

fn write_all(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        if is_there(&path, bytes) {
            continue;
        }
        write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn is_there(path: &Path, bytes: &[u8]) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    is_file && fs::read(path).is_ok_and(|found| found == bytes)
}

/// Whole or not at all: others may unpack the same, and read it meanwhile.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("not a file path")?;
    create_private_dir(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> BuiltInModel {
        let mut models = models().unwrap().into_iter();
        models.find(|model| model.name == name).unwrap()
    }

    #[test]
    fn every_folder_of_workers_is_compiled_in_as_far_as_it_is_served() {
        let workers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workers");
        let folders = fs::read_dir(&workers).unwrap().map(|entry| entry.unwrap());
        let is_model = |name: &String| workers.join(name).join(MANIFEST_FILE).is_file();
        let mut folders: Vec<String> = folders
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(is_model)
            .collect();
        folders.sort();
        let models = models().unwrap();
        assert_eq!(models.iter().map(|model| model.name).collect::<Vec<_>>(), folders);
        for model in models {
            for (path, bytes) in model.files {
                assert_eq!(
                    fs::read(workers.join(model.name).join(path)).unwrap(),
                    *bytes,
                    "{path}"
                );
            }
        }
        let paths: Vec<_> = model("image-quality").files.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths, ["image-quality.onnx", "model.yaml"]);
        let images = workers.join("../examples/images");
        assert_eq!(IMAGES.len(), fs::read_dir(images).unwrap().count());
    }

    #[test]
    fn a_model_is_unpacked_once_and_again_where_it_was_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let model = model("image-quality");
        let folder = model.unpack(dir.path()).unwrap().folder;
        let weights = folder.join("image-quality.onnx");
        let written = weights.metadata().unwrap().modified().unwrap();
        assert_eq!(model.unpack(dir.path()).unwrap().folder, folder);
        assert_eq!(weights.metadata().unwrap().modified().unwrap(), written, "it was left alone");

        let whole = fs::read(&weights).unwrap();
        fs::write(&weights, &whole[1..]).unwrap();
        fs::remove_file(folder.join(MANIFEST_FILE)).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.join(MANIFEST_FILE)).unwrap();
        model.unpack(dir.path()).unwrap();
        assert_eq!(fs::read(&weights).unwrap(), whole);
        assert!(folder.join(MANIFEST_FILE).symlink_metadata().unwrap().is_file());
        let left = fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, model.files.len(), "no half file stays");
    }

    #[test]
    fn a_folder_goes_before_a_name() {
        let (folder, temporary) = folder_of(Path::new("image-quality")).unwrap();
        assert!(folder.join(MANIFEST_FILE).is_file());
        drop(temporary);
        assert!(!folder.exists());
        let given = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        assert_eq!(folder_of(&given).unwrap().0, given);
        assert_eq!(folder_of(Path::new("no-such-model")).unwrap().0, Path::new("no-such-model"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let error = unpack_images(Path::new("/dev/null/images")).unwrap_err();
        assert!(format!("{error:#}").contains("/dev/null/images/"), "{error:#}");
    }
}
