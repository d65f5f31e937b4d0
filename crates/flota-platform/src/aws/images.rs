use std::{error::Error, time::Duration};

use async_trait::async_trait;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::{
    Client, Config,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::{GetObjectError, builders::GetObjectFluentBuilder},
    primitives::ByteStream,
    types::ChecksumMode,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use flota_core::{
    Code, OBJECT_PREFIX, ObjectAddress, Pin, PortResult, Sha256,
    limits::MAX_MESSAGE_DELAY,
    ports::{FetchError, Images, Retry, StagedFile, uploaded},
};
use tokio::{sync::Semaphore, time::timeout};

use super::error::{failed, is_transient};
use crate::{content_encoding::ContentEncodings, settings::Settings};

/// The slowest connection over which an upload still arrives, in bytes per second.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024 * 1024;
/// What S3 says to credentials that are put right outside this process.
const UNKNOWN_TOKEN: &str = "InvalidToken";
/// Memory taken for an image before its first byte, in bytes.
const FIRST_BUFFER_BYTES: u64 = 256 * 1024;

/// Images on their way to S3 at once whose bytes came by a file and are read into memory.
const MAX_FILES_AT_ONCE: usize = 4;

/// Images in S3: those that were uploaded to us, in our bucket, and objects of any bucket.
pub(super) struct S3Images {
    s3: Client,
    bucket: String,
    call_timeout: Duration,
    fetch_timeout: Duration,
    files: Semaphore,
}

impl S3Images {
    pub(super) fn new(s3: Client, settings: &Settings) -> Self {
        Self {
            s3,
            bucket: settings.aws.bucket.clone(),
            call_timeout: settings.aws.call_timeout,
            fetch_timeout: settings.worker.fetch_timeout,
            files: Semaphore::new(MAX_FILES_AT_ONCE),
        }
    }
}

#[async_trait]
impl Images for S3Images {
    /// It is written again where it is there already, so that what expires in the bucket begins
    /// anew.
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        let sha256 = Sha256::of(&bytes);
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let moving = Duration::from_secs(size_bytes / SLOWEST_BYTES_PER_SECOND);
        let attempt = self.call_timeout + moving;
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(attempt)
            .operation_timeout(attempt * 3);
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key(&sha256))
            .checksum_sha256(BASE64_STANDARD.encode(sha256.as_bytes()))
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(Config::builder().timeout_config(timeouts.build()))
            .send()
            .await
            .map_err(|error| failed("keeping an image", error))?;
        Ok(sha256)
    }

    async fn put_file(&self, image: StagedFile) -> PortResult<()> {
        let _turn = self.files.acquire().await.expect("the semaphore is never closed");
        self.put(image.read().await?).await.map(drop)
    }

    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let get = self.s3.get_object();
        let get = if address.starts_with(OBJECT_PREFIX) {
            pinned(get, &address.parse().map_err(unreadable)?)
        } else {
            get.bucket(&self.bucket).key(key(&uploaded::parse(address)?))
        };
        match timeout(self.fetch_timeout, read(get, max_bytes)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::new(
                Code::FetchTimeout,
                format!("the image did not arrive within {} ms", self.fetch_timeout.as_millis()),
            )),
        }
    }

    /// What S3 keeps of an object that was put with a SHA-256; of one that came in parts it keeps
    /// none of the whole, and of one in a content encoding none of what is decoded.
    async fn sha256(&self, address: &str) -> Option<Sha256> {
        let address: ObjectAddress = address.parse().ok()?;
        let head = self.s3.head_object().bucket(address.bucket()).key(address.key());
        let head = match address.pin() {
            None => head,
            Some(Pin::Version(version)) => head.version_id(version),
            Some(Pin::ETag(etag)) => head.if_match(quoted(etag)),
        };
        let object = head.checksum_mode(ChecksumMode::Enabled).send().await.ok()?;
        if !ContentEncodings::parse(object.content_encoding()).ok()?.is_identity() {
            return None;
        }
        let digest = BASE64_STANDARD.decode(object.checksum_sha256()?).ok()?;
        Some(<[u8; 32]>::try_from(digest).ok()?.into())
    }
}

/// An ETag as HTTP writes it.
fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The key of an uploaded image.
fn key(sha256: &Sha256) -> String {
    format!("sha256/{sha256}")
}

/// Asks for an object, and only for the content that its address means.
fn pinned(get: GetObjectFluentBuilder, address: &ObjectAddress) -> GetObjectFluentBuilder {
    let get = get.bucket(address.bucket()).key(address.key());
    match address.pin() {
        None => get,
        Some(Pin::Version(version)) => get.version_id(version),
        Some(Pin::ETag(etag)) => get.if_match(quoted(etag)),
    }
}

/// Reads at most `max_bytes`, without their content encoding; the SDK holds what S3 sends against
/// the checksum that it keeps.
async fn read(get: GetObjectFluentBuilder, max_bytes: u64) -> Result<Bytes, FetchError> {
    let object = get.checksum_mode(ChecksumMode::Enabled).send().await.map_err(refused)?;
    let encodings = ContentEncodings::parse(object.content_encoding())?;
    let announced = object.content_length().and_then(|bytes| u64::try_from(bytes).ok());
    let announced = announced.unwrap_or_default();
    uploaded::check_size(announced, max_bytes)?;
    let capacity = usize::try_from(announced.min(FIRST_BUFFER_BYTES)).unwrap_or_default();
    let mut body = BytesMut::with_capacity(capacity);
    let mut stream = object.body;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            FetchError::new(Code::FetchFailed, "the image did not arrive whole").caused_by(error)
        })?;
        let size_bytes = u64::try_from(body.len() + chunk.len()).unwrap_or(u64::MAX);
        uploaded::check_size(size_bytes, max_bytes)?;
        body.extend_from_slice(&chunk);
    }
    Ok(encodings.decode(body.freeze(), max_bytes).await?)
}

fn unreadable(error: impl Error) -> FetchError {
    FetchError::new(Code::FetchForbiddenAddress, error.to_string())
}

/// What a failed GET is to the client: as [`HttpImages`](crate::net::HttpImages) says it.
fn refused(error: SdkError<GetObjectError>) -> FetchError {
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let said = error.code().unwrap_or("no code");
    let (code, message) = match status {
        _ if is_transient(&error) => (Code::FetchFailed, "S3 did not answer".to_owned()),
        0 => (Code::FetchFailed, "S3 could not be asked".to_owned()),
        _ if said == UNKNOWN_TOKEN => (Code::FetchFailed, format!("S3 answered {status}: {said}")),
        401 | 403 => (Code::FetchDenied, format!("S3 answered {status}: we may not read it")),
        404 => (Code::FetchNotFound, "there is no such object".to_owned()),
        412 => (Code::FetchNotFound, "the object was replaced by another".to_owned()),
        // A marker stands where it was deleted.
        405 | 410 => (Code::FetchNotFound, format!("S3 answered {status}")),
        // A key of KMS, another region, a rule of the bucket: the object is there all the same.
        _ => (Code::FetchDenied, format!("S3 answered {status}: {said}")),
    };
    let asked = error
        .raw_response()
        .and_then(|answer| answer.headers().get("retry-after"))
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    let failed = FetchError::new(code, message).caused_by(error);
    match (failed.retry, asked) {
        (Retry::Later { .. }, Some(after)) => {
            failed.retried(Retry::Later { after: after.min(MAX_MESSAGE_DELAY) })
        }
        _ => failed,
    }
}
