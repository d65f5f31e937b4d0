use std::{
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use flota_core::{
    Code, PortError, PortResult, Sha256,
    ports::{Clock, FetchError, Images, StagedFile, uploaded},
};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use super::OpenError;
use crate::disk::{self, create_private_dir};

/// Uploaded images as files `ab/cdef…`, named by the hash of what is in them. When a file was modified says
/// when it was last uploaded.
pub(super) struct EmbeddedImages {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl EmbeddedImages {
    /// Images in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub(super) fn open(folder: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        create_private_dir(&folder).map_err(|source| OpenError::folder(&folder, source))?;
        Ok(Self { folder, clock })
    }
}

#[async_trait]
impl Images for EmbeddedImages {
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        let (folder, now) = (self.folder.clone(), self.clock.now().into());
        kept(move || {
            let sha256 = Sha256::of(&bytes);
            write(&folder, &sha256, &mut &bytes[..], now).map(|()| sha256)
        })
        .await
    }

    async fn put_file(&self, image: StagedFile) -> PortResult<()> {
        let (folder, now) = (self.folder.clone(), self.clock.now().into());
        kept(move || {
            let StagedFile { mut file, sha256, .. } = image;
            file.rewind()?;
            write(&folder, &sha256, &mut file, now)
        })
        .await
    }

    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let path = path(&self.folder, &uploaded::parse(address)?);
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            FetchError::new(Code::FetchFailed, "the uploaded image could not be read")
                .caused_by(cause)
        };
        match spawn_blocking(move || read(&path, max_bytes)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(FetchError::new(Code::FetchNotFound, uploaded::NOT_FOUND_MESSAGE))
            }
            Ok(Err(error)) => Err(failed(error.into())),
            Err(panic) => Err(failed(panic.into())),
        }
    }
}

async fn kept<T: Send + 'static>(
    write: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> PortResult<T> {
    match spawn_blocking(write).await {
        Ok(result) => result.map_err(disk::not_kept),
        Err(panic) => Err(PortError::permanent(disk::KEEPING, panic)),
    }
}

/// Writes the whole image or nothing, and returns once it will survive a power cut. One that is there is
/// as good as uploaded `now`.
fn write(
    images: &Path,
    sha256: &Sha256,
    content: &mut impl Read,
    now: SystemTime,
) -> io::Result<()> {
    let folder = images.join(folder_name(sha256));
    let path = folder.join(file_name(sha256));
    create_private_dir(&folder)?;
    if !renew(&folder, &path, now)? {
        let mut file = NamedTempFile::new_in(&folder)?;
        io::copy(content, &mut file)?;
        file.as_file().set_modified(now)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
    }
    // Also where they were there: another process may have made them a moment ago.
    sync(&folder)?;
    sync(images)
}

/// Notes that an image was uploaded `now`; false where it is not there. Deletion holds the same lock between
/// its look at that time and the removal.
fn renew(folder: &Path, path: &Path, now: SystemTime) -> io::Result<bool> {
    let lock = File::open(folder)?;
    lock.lock_shared()?;
    match File::open(path) {
        Ok(file) => file.set_modified(now).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn read(path: &Path, max_bytes: u64) -> io::Result<Result<Bytes, FetchError>> {
    let file = File::open(path)?;
    let size_bytes = file.metadata()?.len();
    if let Err(too_large) = uploaded::check_size(size_bytes, max_bytes) {
        return Ok(Err(too_large));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
    file.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(Ok(bytes.into()))
}

fn path(images: &Path, sha256: &Sha256) -> PathBuf {
    images.join(folder_name(sha256)).join(file_name(sha256))
}

/// The folder that an image is in.
pub(super) fn folder_name(sha256: &Sha256) -> String {
    sha256.to_string().split_at(2).0.to_owned()
}

/// The name of an image in its folder.
pub(super) fn file_name(sha256: &Sha256) -> String {
    sha256.to_string().split_at(2).1.to_owned()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
