//! Fetched files, named by their SHA-256, so that nothing is fetched twice and nothing else is used.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flota_core::Sha256;
use flota_engine::Hashed;
use sha2::Digest;
use tokio::task;
use url::Url;

use super::{
    FetchFileError, FileError,
    download::Download,
    file::{RegularFile, SizeLimit},
};

/// The ending of a file that is not whole yet.
const PART_ENDING: &str = "part";

/// The folder of fetched files.
pub(super) struct Cache<'a> {
    dir: &'a Path,
}

/// A file that is being fetched. Its lock keeps other processes from writing it meanwhile.
pub(super) struct Part {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Where it goes once it is whole.
    pub(super) kept: PathBuf,
}

impl<'a> Cache<'a> {
    /// The cache in `dir`, which is made when something is fetched.
    pub(super) fn new(dir: &'a Path) -> Self {
        Self { dir }
    }

    /// The bytes that hash to `sha256`, fetched from `url` where they are not kept.
    pub(super) async fn read(
        &self,
        url: &Url,
        sha256: &Sha256,
        limit: SizeLimit,
    ) -> Result<Hashed, FetchFileError> {
        let kept = self.dir.join(sha256.to_string());
        if let Some(read) = read_whole(&kept, *sha256, limit).await? {
            return Ok(read);
        }
        let part = self.part(&kept).await?;
        // Another process may have fetched it while this one waited for its lock.
        if let Some(read) = read_whole(&kept, *sha256, limit).await? {
            return Ok(read);
        }
        if let Err(error) = self.fetch(url, sha256, limit, &part).await {
            self.leave(&part);
            return Err(error);
        }
        let moved = fs::rename(&part.path, &kept).and_then(|()| File::open(self.dir)?.sync_all());
        moved.map_err(at(&kept))?;
        let read = read_whole(&kept, *sha256, limit).await?;
        read.ok_or_else(|| FileError::Changed(kept).into())
    }

    async fn part(&self, kept: &Path) -> Result<Part, FetchFileError> {
        let (dir, path) = (self.dir.to_owned(), kept.with_extension(PART_ENDING));
        let opened = path.clone();
        let locking = task::spawn_blocking(move || {
            loop {
                fs::create_dir_all(&dir)?;
                let options = File::options().read(true).append(true).create(true).clone();
                let file = options.open(&opened)?;
                file.lock()?;
                // The process that had the lock may have removed the file.
                if is_same(&file, &opened)? {
                    return Ok(file);
                }
            }
        });
        let file = locking.await.expect("locking does not panic").map_err(at(&path))?;
        Ok(Part { file, path, kept: kept.to_owned() })
    }

    /// Removes `part` if there is nothing in it, and the folders if there is nothing else in them.
    fn leave(&self, part: &Part) {
        if part.size_bytes().is_ok_and(|size| size == 0) && fs::remove_file(&part.path).is_ok() {
            let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            // A folder that is not empty is not removed.
            if fs::remove_dir(self.dir).is_ok()
                && let Some(parent) = parent
            {
                let _ = fs::remove_dir(parent);
            }
        }
    }

    /// Fills `part` with what hashes to `sha256`, going on from what is in it.
    async fn fetch(
        &self,
        url: &Url,
        sha256: &Sha256,
        limit: SizeLimit,
        part: &Part,
    ) -> Result<(), FetchFileError> {
        let download = Download::new(url, limit)?;
        loop {
            let was_empty = part.size_bytes()? == 0;
            download.append_to(part).await?;
            let path = part.path.clone();
            let hashing = task::spawn_blocking(move || hash(&path)).await;
            let found = hashing.expect("hashing does not panic").map_err(at(&part.path))?;
            if found == *sha256 {
                return part.file.sync_all().map_err(at(&part.path));
            }
            part.clear()?;
            // What was there may have been of another file: then it is fetched afresh, once.
            if was_empty {
                let (url, wanted) = (shown(url), *sha256);
                return Err(FetchFileError::WrongHash { url, found, wanted });
            }
        }
    }
}

impl Part {
    pub(super) fn size_bytes(&self) -> Result<u64, FetchFileError> {
        Ok(self.file.metadata().map_err(at(&self.path))?.len())
    }

    pub(super) fn clear(&self) -> Result<(), FetchFileError> {
        self.file.set_len(0).map_err(at(&self.path))
    }
}

/// The bytes of a kept file; `None` where it is not there, or no longer what it was. Weights of gigabytes take
/// seconds, so that they are read beside the tasks of the runtime.
async fn read_whole(
    kept: &Path,
    sha256: Sha256,
    limit: SizeLimit,
) -> Result<Option<Hashed>, FetchFileError> {
    let path = kept.to_owned();
    let reading = task::spawn_blocking(move || {
        RegularFile::open(&path, limit).and_then(RegularFile::read).map(Hashed::new)
    });
    match reading.await.expect("reading does not panic") {
        Ok(read) if read.sha256() == sha256 => Ok(Some(read)),
        Ok(_) => {
            tracing::warn!(path = %kept.display(), "a kept file is damaged, it is fetched again");
            Ok(None)
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether `file` is what is at `path`.
fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let file = file.metadata()?;
        Ok((file.dev(), file.ino()) == (found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, found);
        Ok(true)
    }
}

fn hash(path: &Path) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Sha256::from(<[u8; 32]>::from(hasher.finalize())))
}

/// An address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // These fail only for addresses that have no host, and those are not fetched.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchFileError {
    let path = path.to_owned();
    move |source| FetchFileError::Cache { path, source }
}
