use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use flota_core::{
    Code, PortResult, Sha256,
    ports::{FetchError, Images},
};

use crate::uploaded;

/// Uploaded images.
#[derive(Default)]
pub(super) struct MemoryImages {
    bytes: Mutex<BTreeMap<Sha256, Bytes>>,
}

#[async_trait]
impl Images for MemoryImages {
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        let sha256 = Sha256::of(&bytes);
        self.bytes.lock().expect("nothing panics under this lock").insert(sha256, bytes);
        Ok(sha256)
    }

    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let sha256 = uploaded::parse(address)?;
        let bytes =
            self.bytes.lock().expect("nothing panics under this lock").get(&sha256).cloned();
        let bytes = bytes
            .ok_or_else(|| FetchError::new(Code::FetchNotFound, uploaded::NOT_FOUND_MESSAGE))?;
        uploaded::check_size(bytes.len() as u64, max_bytes)?;
        Ok(bytes)
    }
}
