//! The prediction cache, for images whose content is known without a fetch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flota_core::{
    ModelName, ModelVersion, ObjectAddress, ObjectIdentity, PortResult, PredictionKey, Sha256,
    ports::{Aliases, Predictions, UPLOADED_PREFIX},
};

/// Looks up predictions.
#[derive(Clone)]
pub(crate) struct PredictionCache {
    pub(crate) aliases: Arc<dyn Aliases>,
    pub(crate) predictions: Arc<dyn Predictions>,
    /// Whether an ETag is trusted to identify a content.
    pub(crate) trust_etag: bool,
}

/// The content of an image, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// The SHA-256 of an uploaded image.
    Uploaded(Sha256),
    /// The identity of an object, which may have an alias.
    Object(ObjectIdentity),
}

/// A look-up of the prediction of a model version, under a key of the caller.
pub(crate) struct Query<K> {
    pub(crate) key: K,
    pub(crate) content: Content,
    pub(crate) model: ModelName,
    pub(crate) version: ModelVersion,
}

impl PredictionCache {
    /// The content of the image at `url`, if the URL identifies it.
    pub(crate) fn content(&self, url: &str) -> Option<Content> {
        if let Some(digest) = url.strip_prefix(UPLOADED_PREFIX) {
            return digest.parse().ok().map(Content::Uploaded);
        }
        self.object(&url.parse().ok()?)
    }

    /// The content of `object`, if its version or a trusted ETag identifies it.
    pub(crate) fn object(&self, object: &ObjectAddress) -> Option<Content> {
        let identity = ObjectIdentity::of(object)?;
        identity.is_trusted(self.trust_etag).then_some(Content::Object(identity))
    }

    /// The cached predictions, by the key of their query. Predictions of development versions are
    /// never used.
    pub(crate) async fn find<K: Ord + Clone>(
        &self,
        queries: &[Query<K>],
    ) -> PortResult<BTreeMap<K, PredictionKey>> {
        let contents = self.contents(queries).await?;
        let mut by_prediction: BTreeMap<PredictionKey, Vec<&K>> = BTreeMap::new();
        for Query { key, content, model, version } in queries {
            let sha256 = match content {
                Content::Uploaded(sha256) => Some(sha256),
                Content::Object(object) => contents.get(object),
            };
            if let Some(sha256) = sha256.filter(|_| !version.is_dev()) {
                let (model, version) = (model.clone(), version.clone());
                let prediction = PredictionKey { sha256: *sha256, model, version };
                by_prediction.entry(prediction).or_default().push(key);
            }
        }
        let mut cached = BTreeMap::new();
        if by_prediction.is_empty() {
            return Ok(cached);
        }
        let keys = Vec::from_iter(by_prediction.keys().cloned());
        for prediction in self.predictions.get(&keys).await? {
            for key in by_prediction.get(&prediction.key).into_iter().flatten() {
                cached.insert((*key).clone(), prediction.key.clone());
            }
        }
        Ok(cached)
    }

    async fn contents<K>(
        &self,
        queries: &[Query<K>],
    ) -> PortResult<BTreeMap<ObjectIdentity, Sha256>> {
        let objects: BTreeSet<ObjectIdentity> = queries
            .iter()
            .filter_map(|query| match &query.content {
                Content::Uploaded(_) => None,
                Content::Object(object) => Some(object.clone()),
            })
            .collect();
        if objects.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = self.aliases.get(&Vec::from_iter(objects)).await?;
        Ok(found.into_iter().map(|alias| (alias.object, alias.sha256)).collect())
    }
}
