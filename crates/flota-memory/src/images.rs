use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use flota_core::{
    Code, PortResult, Sha256,
    ports::{Clock, FetchError, Images, uploaded},
};
use jiff::Timestamp;

/// Uploaded images, each with the time when it was last uploaded.
pub(super) struct MemoryImages {
    images: Mutex<BTreeMap<Sha256, (Timestamp, Bytes)>>,
    clock: Arc<dyn Clock>,
}

impl MemoryImages {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { images: Mutex::default(), clock }
    }

    /// Deletes those that `is_old` says true of; how many.
    pub(super) fn delete(&self, is_old: impl Fn(Sha256, Timestamp) -> bool) -> usize {
        let mut images = self.images();
        let before = images.len();
        images.retain(|sha256, (put_at, _)| !is_old(*sha256, *put_at));
        before - images.len()
    }

    fn images(&self) -> MutexGuard<'_, BTreeMap<Sha256, (Timestamp, Bytes)>> {
        self.images.lock().expect("nothing panics under this lock")
    }
}

#[async_trait]
impl Images for MemoryImages {
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        let sha256 = Sha256::of(&bytes);
        self.images().insert(sha256, (self.clock.now(), bytes));
        Ok(sha256)
    }

    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let sha256 = uploaded::parse(address)?;
        let bytes = self.images().get(&sha256).map(|(_, bytes)| bytes.clone());
        let bytes = bytes
            .ok_or_else(|| FetchError::new(Code::FetchNotFound, uploaded::NOT_FOUND_MESSAGE))?;
        uploaded::check_size(bytes.len() as u64, max_bytes)?;
        Ok(bytes)
    }
}
