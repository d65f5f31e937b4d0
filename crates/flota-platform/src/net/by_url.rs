use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flota_core::{
    OBJECT_PREFIX, ObjectAddress, PortResult, Sha256,
    ports::{FetchError, FetchPlace, Images, StagedFile, UPLOADED_PREFIX},
};

use super::{HostLimiter, HttpImages, host_limiter::HostPlace};

/// Images by the scheme of their address: those of a store, and others from the web.
pub struct ImagesByUrl {
    stored: Arc<dyn Images>,
    objects: HostLimiter,
    web: HttpImages,
}

impl ImagesByUrl {
    /// `flota://` and `s3://` addresses lead to `stored`, all others to `web`. A bucket of S3 is a host
    /// of `objects`; uploads are ours, and need no limiter.
    pub fn new(stored: Arc<dyn Images>, objects: HostLimiter, web: HttpImages) -> Self {
        Self { stored, objects, web }
    }
}

#[async_trait]
impl Images for ImagesByUrl {
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        self.stored.put(bytes).await
    }

    async fn put_file(&self, image: StagedFile) -> PortResult<()> {
        self.stored.put_file(image).await
    }

    async fn place(&self, address: &str) -> Result<FetchPlace, FetchError> {
        if address.starts_with(UPLOADED_PREFIX) {
            return Ok(FetchPlace::default());
        }
        if address.starts_with(OBJECT_PREFIX) {
            // The store says what is wrong with an address that is none.
            let Ok(object) = address.parse::<ObjectAddress>() else {
                return Ok(FetchPlace::default());
            };
            return Ok(FetchPlace::new(self.objects.enter(object.bucket()).await?));
        }
        self.web.place(address).await
    }

    async fn fetch(&self, address: &str, max_bytes: u64) -> Result<Bytes, FetchError> {
        let place = self.place(address).await?;
        self.fetch_in(place, address, max_bytes).await
    }

    async fn fetch_in(
        &self,
        place: FetchPlace,
        address: &str,
        max_bytes: u64,
    ) -> Result<Bytes, FetchError> {
        if !address.starts_with(UPLOADED_PREFIX) && !address.starts_with(OBJECT_PREFIX) {
            return self.web.fetch_in(place, address, max_bytes).await;
        }
        let place = place.take::<HostPlace>().map(|mut place| {
            place.begin();
            place
        });
        let fetched = self.stored.fetch(address, max_bytes).await;
        match place {
            Some(place) => place.end(fetched),
            None => fetched,
        }
    }

    async fn sha256(&self, address: &str) -> Option<Sha256> {
        self.stored.sha256(address).await
    }
}
