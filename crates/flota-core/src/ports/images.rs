use std::{
    any::Any,
    fs::File,
    io::{Read, Seek},
    time::Duration,
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

    /// Waits for a place to fetch from the host of `address`: briefly, because a waiting task holds up
    /// others.
    ///
    /// # Errors
    /// If the host is left alone after failures, or too many wait for it. No request was made then.
    async fn place(&self, _address: &str) -> Result<FetchPlace, FetchError> {
        Ok(FetchPlace::default())
    }

    /// The bytes at `address`, at most `max_bytes` of them.
    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError>;

    /// The same in a place that was taken for this address before, which ends with the fetch.
    async fn fetch_in(
        &self,
        _place: FetchPlace,
        address: &str,
        max_bytes: u64,
    ) -> Result<Bytes, FetchError> {
        self.fetch(address, max_bytes).await
    }

    /// The SHA-256 of the bytes at `address`, if its store tells it without sending
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

/// The right to fetch from one host, until it is dropped.
#[derive(Default)]
pub struct FetchPlace(Option<Box<dyn Any + Send>>);

/// Whether a fetch that failed is made again. Faults of the host are no attempts of the image: they
/// last by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never: time does not change it.
    Never,
    /// Later, for the host failed or could not be reached.
    Later {
        /// Not before this time has passed: the host wants so, or is left alone so long.
        after: Duration,
    },
    /// Later: the host failed others just now, so that no request was made.
    Open {
        /// Until it is asked again.
        after: Duration,
    },
    /// Later: the host has as many calls as it may have. Nothing failed.
    Busy {
        /// Until there may be room.
        after: Duration,
    },
}

/// An image that could not be had.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct FetchError {
    /// The stable code.
    pub code: Code,
    /// One safe sentence for the client.
    pub message: String,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether it is tried again.
    pub retry: Retry,
}

impl FetchPlace {
    /// A place that `held` stands for.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Some(Box::new(held)))
    }

    /// What stands for it, where that is a `T`.
    pub fn take<T: Any>(self) -> Option<T> {
        self.0?.downcast().ok().map(|held| *held)
    }
}

impl Retry {
    /// As `code` says: later where time may heal it.
    pub fn of(code: Code) -> Self {
        if code.is_transient() { Self::Later { after: Duration::ZERO } } else { Self::Never }
    }
}

impl FetchError {
    /// A failure without a cause worth logging, tried again where its code says so.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None, retry: Retry::of(code) }
    }

    /// The same, with its cause.
    pub fn caused_by(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(cause.into()), ..self }
    }

    /// The same, tried again as `retry` says.
    pub fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}
