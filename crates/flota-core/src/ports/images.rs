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

/// The prefix of an uploaded image's URL. The SHA-256 follows.
pub const UPLOADED_PREFIX: &str = "flota://sha256/";

/// Images by URL: uploads, objects of S3 and the web.
#[async_trait]
pub trait Images: Send + Sync {
    /// Stores an uploaded image under the SHA-256 of its bytes. `Ok` means that it is durable.
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256>;

    /// Stores an uploaded image from a file. `Ok` means that it is durable.
    async fn put_file(&self, image: StagedFile) -> PortResult<()> {
        self.put(image.read().await?).await.map(drop)
    }

    /// Waits for a permit to fetch from the host of `address`. The wait is short, because a waiting
    /// task delays others.
    ///
    /// # Errors
    /// If the host's breaker is open, or too many fetches wait for the host. No request was made in
    /// either case.
    async fn place(&self, _address: &str) -> Result<FetchPlace, FetchError> {
        Ok(FetchPlace::default())
    }

    /// Fetches at most `max_bytes` from `address`.
    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError>;

    /// Like [`fetch`](Self::fetch), with a permit that was obtained for this URL and ends with the
    /// fetch.
    async fn fetch_in(
        &self,
        _place: FetchPlace,
        address: &str,
        max_bytes: u64,
    ) -> Result<Bytes, FetchError> {
        self.fetch(address, max_bytes).await
    }

    /// The SHA-256 of the image at `address`, if the store can give it without sending the image.
    /// `None` says nothing about the image.
    async fn sha256(&self, _address: &str) -> Option<Sha256> {
        None
    }
}

/// An image in a file that only the caller has.
#[derive(Debug)]
pub struct StagedFile {
    /// The file, open for reading.
    pub file: File,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl StagedFile {
    /// Reads all bytes.
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

/// A permit to fetch from one host, held until it is dropped.
#[derive(Default)]
pub struct FetchPlace(Option<Box<dyn Any + Send>>);

/// Whether a failed fetch is retried. Faults of the host are retried for a limited time and do not
/// count as attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never: a retry would not change it.
    Never,
    /// Later: the host failed, or could not be reached.
    Later {
        /// The shortest wait: the host asked for it, or its breaker is open for as long.
        after: Duration,
    },
    /// Later: the host's breaker was open, so no request was made.
    Open {
        /// The time until the host is tried again.
        after: Duration,
    },
    /// Later: the host has the maximum of concurrent calls. Nothing failed.
    Busy {
        /// The time until there may be a permit.
        after: Duration,
    },
}

/// A failed fetch.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct FetchError {
    /// The stable code.
    pub code: Code,
    /// One sentence that is safe to show to clients.
    pub message: String,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether the fetch is retried.
    pub retry: Retry,
}

impl FetchPlace {
    /// A permit that holds `held` until it is dropped.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Some(Box::new(held)))
    }

    /// The held value, if it is a `T`.
    pub fn take<T: Any>(self) -> Option<T> {
        self.0?.downcast().ok().map(|held| *held)
    }
}

impl Retry {
    /// The default for `code`: later if it is transient, else never.
    pub fn of(code: Code) -> Self {
        if code.is_transient() { Self::Later { after: Duration::ZERO } } else { Self::Never }
    }
}

impl FetchError {
    /// A failure without a cause, retried by the default for its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None, retry: Retry::of(code) }
    }

    /// Adds a cause, for the log.
    pub fn caused_by(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(cause.into()), ..self }
    }

    /// Replaces the default for retries.
    pub fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}
