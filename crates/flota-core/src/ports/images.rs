use std::{
    fs::File,
    io::{Read, Seek},
};

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::{Code, PortError, PortResult, Sha256};

/// The scheme and host of an uploaded image's address, before its SHA-256.
pub const UPLOADED_PREFIX: &str = "flota://sha256/";

/// Images: bytes at an address.
#[async_trait]
pub trait Images: Send + Sync {
    /// Keeps an uploaded image under the SHA-256 of its bytes. `Ok` means durable.
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256>;

    /// Keeps an uploaded image that is in a file, as [`Images::put`] does.
    async fn put_file(&self, image: StagedFile) -> PortResult<()> {
        self.put(image.read().await?).await.map(drop)
    }

    /// The bytes at `address`, at most `max_bytes` of them.
    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError>;

    /// The SHA-256 of the bytes at `address`, where whoever keeps them says it without sending
    /// them. `None` says nothing about the image.
    async fn sha256(&self, _address: &str) -> Option<Sha256> {
        None
    }
}

/// A whole image in a file that nobody else has.
#[derive(Debug)]
pub struct StagedFile {
    /// The file.
    pub file: File,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// How many bytes it has.
    pub size_bytes: u64,
}

impl StagedFile {
    /// Its bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn read(mut self) -> PortResult<Bytes> {
        const READING: &str = "reading an image that has arrived";
        let read = spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(self.size_bytes).unwrap_or(0));
            self.file.rewind()?;
            self.file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(Bytes::from(bytes))
        });
        match read.await {
            Ok(read) => read.map_err(|error| PortError::permanent(READING, error)),
            Err(panic) => Err(PortError::permanent(READING, panic)),
        }
    }
}

/// An image that could not be had.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct FetchError {
    /// The stable code; it says whether time may heal it.
    pub code: Code,
    /// One safe sentence for the client.
    pub message: String,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl FetchError {
    /// A failure without a cause worth logging.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None }
    }
}
