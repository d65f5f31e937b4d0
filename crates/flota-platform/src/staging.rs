//! Images on their way in. Their bytes are hashed as they arrive, and all but the first are in a file
//! without a name: nothing is left behind, even when the process is killed.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use flota_core::{PortError, PortResult, Sha256, Sha256Hasher, ports::StagedFile};
use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::{
    content_encoding::{ContentEncodings, CopyError, EncodingError},
    disk::{self, create_private_dir},
};

/// Bytes of an image that are held in memory; a longer one goes to a file.
pub const MEMORY_BYTES: usize = 128 * 1024;

/// The folder of images that are arriving.
#[derive(Debug, Clone)]
pub struct Staging {
    folder: Arc<Path>,
}

/// An image that is arriving. Dropping it frees its memory and its file.
#[derive(Debug)]
pub struct StagedImage {
    folder: Arc<Path>,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    file: Option<File>,
    hasher: Sha256Hasher,
    size_bytes: u64,
}

/// An image that has arrived.
#[derive(Debug)]
pub enum Staged {
    /// A small one, in memory.
    Memory(Bytes),
    /// A large one, in a file.
    File(StagedFile),
}

/// An image whose content encoding is not undone.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// It is not what it was said to be, or too large.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// It cannot be written.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Staging {
    /// Files are made in `folder`, which is made when it is first needed.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: folder.into() }
    }

    /// An image of which nothing has arrived.
    pub fn begin(&self) -> StagedImage {
        StagedImage {
            folder: self.folder.clone(),
            buffer: Vec::new(),
            file: None,
            hasher: Sha256Hasher::default(),
            size_bytes: 0,
        }
    }
}

impl StagedImage {
    /// How many bytes have arrived.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn push(mut self, bytes: &[u8]) -> PortResult<Self> {
        self.append(bytes);
        if self.buffer.len() < MEMORY_BYTES {
            return Ok(self);
        }
        blocking(move || {
            self.spill()?;
            Ok(self)
        })
        .await
    }

    /// The image with its content encoding undone, at most `max_bytes` of it.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub async fn decode(
        self,
        encodings: &ContentEncodings,
        max_bytes: u64,
    ) -> Result<Self, DecodeError> {
        if encodings.is_identity() {
            return Ok(self);
        }
        let encodings = encodings.clone();
        let mut decoded = Staging { folder: self.folder.clone() }.begin();
        let decoding = spawn_blocking(move || {
            encodings.copy_decoded(self.into_reader()?, &mut decoded, max_bytes)?;
            Ok(decoded)
        });
        match decoding.await {
            Ok(Ok(decoded)) => Ok(decoded),
            Ok(Err(CopyError::Encoding(error))) => Err(error.into()),
            Ok(Err(CopyError::Io(error))) => Err(disk::not_kept(error).into()),
            Err(panic) => Err(PortError::permanent(disk::KEEPING, panic).into()),
        }
    }

    /// The whole image, with its hash where it is in a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn finish(mut self) -> PortResult<Staged> {
        if self.file.is_none() {
            return Ok(Staged::Memory(self.buffer.into()));
        }
        blocking(move || {
            self.spill()?;
            let Self { file, hasher, size_bytes, .. } = self;
            let mut file = file.ok_or_else(|| io::Error::other("an image has lost its file"))?;
            file.rewind()?;
            Ok(Staged::File(StagedFile { file, sha256: hasher.finish(), size_bytes }))
        })
        .await
    }

    fn append(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.size_bytes += bytes.len() as u64;
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                create_private_dir(&self.folder)?;
                self.file.insert(tempfile::tempfile_in(&self.folder)?)
            }
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn into_reader(mut self) -> io::Result<Box<dyn Read>> {
        if self.file.is_some() {
            self.spill()?;
        }
        Ok(match self.file {
            None => Box::new(io::Cursor::new(self.buffer)),
            Some(mut file) => {
                file.rewind()?;
                Box::new(BufReader::with_capacity(MEMORY_BYTES, file))
            }
        })
    }
}

/// It blocks: for threads that may.
impl Write for StagedImage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        if self.buffer.len() >= MEMORY_BYTES {
            self.spill()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged {
    /// The SHA-256 of the image's bytes.
    pub fn sha256(&self) -> Sha256 {
        match self {
            Self::Memory(bytes) => Sha256::of(bytes),
            Self::File(file) => file.sha256,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> PortResult<T> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(disk::not_kept),
        Err(panic) => Err(PortError::permanent(disk::KEEPING, panic)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn staged(staging: &Staging, bytes: &[u8], chunk_bytes: usize) -> StagedImage {
        let mut image = staging.begin();
        for chunk in bytes.chunks(chunk_bytes) {
            image = image.push(chunk).await.unwrap();
        }
        image
    }

    fn read(staged: Staged) -> Vec<u8> {
        match staged {
            Staged::Memory(bytes) => bytes.to_vec(),
            Staged::File(StagedFile { mut file, .. }) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                bytes
            }
        }
    }

    fn entry_count(folder: &Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[tokio::test]
    async fn an_image_is_whole_and_hashed_whatever_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("uploads");
        let staging = Staging::new(folder.clone());
        for size in [0, 1, MEMORY_BYTES - 1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES + 7] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            for chunk_bytes in [777, MEMORY_BYTES * 2] {
                let image = staged(&staging, &bytes, chunk_bytes).await;
                assert_eq!(image.size_bytes(), size as u64);
                assert_eq!(entry_count(&folder), 0, "the file has no name");
                let staged = image.finish().await.unwrap();
                assert_eq!(matches!(staged, Staged::File(_)), size >= MEMORY_BYTES, "{size}");
                assert_eq!(staged.sha256(), Sha256::of(&bytes), "{size}");
                assert_eq!(read(staged), bytes, "{size}");
            }
        }
    }

    #[tokio::test]
    async fn a_content_encoding_is_undone_from_file_to_file() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::new(dir.path().to_owned());
        let encodings = ContentEncodings::parse(["gzip"]).unwrap();
        // Without a pattern, so that the encoded bytes are many as well.
        let mut state = 1_u32;
        let bytes: Vec<u8> = (0..2 * MEMORY_BYTES)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        for plain in [&bytes[..100], &bytes] {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(plain).unwrap();
            let encoded = gzip.finish().unwrap();
            let image = staged(&staging, &encoded, 10_000).await;
            let max_bytes = plain.len() as u64;
            let decoded = image.decode(&encodings, max_bytes).await.unwrap();
            assert_eq!(decoded.size_bytes(), max_bytes);
            assert_eq!(read(decoded.finish().await.unwrap()), plain);

            let image = staged(&staging, &encoded, 10_000).await;
            let refused = image.decode(&encodings, max_bytes - 1).await.unwrap_err();
            let too_large = DecodeError::Encoding(EncodingError::TooLarge(max_bytes - 1));
            assert_eq!(refused.to_string(), too_large.to_string());
        }
        assert_eq!(entry_count(dir.path()), 0);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("file");
        fs::write(&taken, "no folder").unwrap();
        let image = Staging::new(taken.join("uploads")).begin();
        assert!(image.push(&vec![0; MEMORY_BYTES]).await.is_err());
    }
}
