//! The cache of predictions by content: a cached image is not computed again, and a cached object not even
//! fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use flota_core::{
    Alias, BatchLimits, Batcher, OBJECT_PREFIX, ObjectAddress, ObjectIdentity, PortResult,
    Prediction, PredictionKey, Sha256, ports::Images,
};
use flota_platform::{Platform, settings::ObjectSettings};
use futures::FutureExt;

/// Most keys of one look-up, so that none waits for the answer to very many others.
const MAX_KEYS: usize = 100;

/// Predictions by content, and contents by object, from the store.
pub(crate) struct PredictionCache {
    predictions: CacheLookup<PredictionKey, Prediction>,
    contents: CacheLookup<ObjectIdentity, Sha256>,
    images: Arc<dyn Images>,
    objects: ObjectSettings,
}

impl PredictionCache {
    /// A cache over the store of `platform`.
    pub(crate) fn new(platform: &Platform, objects: ObjectSettings) -> Self {
        let (predictions, aliases) = (platform.predictions.clone(), platform.aliases.clone());
        let look_up_predictions = move |keys: Vec<PredictionKey>| {
            let predictions = Arc::clone(&predictions);
            async move {
                let found = predictions.get(&keys).await?;
                PortResult::Ok(found.into_iter().map(|found| (found.key.clone(), found)).collect())
            }
        };
        let look_up_aliases = move |objects: Vec<ObjectIdentity>| {
            let aliases = Arc::clone(&aliases);
            async move {
                let found = aliases.get(&objects).await?.into_iter();
                PortResult::Ok(found.map(|Alias { object, sha256 }| (object, sha256)).collect())
            }
        };
        Self {
            predictions: lookup("prediction", look_up_predictions),
            contents: lookup("alias", look_up_aliases),
            images: platform.images.clone(),
            objects,
        }
    }

    /// The prediction of `key`, if it is cached. One of a development version never is. If the store does not
    /// answer it is computed.
    pub(crate) async fn prediction(&self, key: &PredictionKey) -> Option<Prediction> {
        if key.version.is_dev() {
            return None;
        }
        self.predictions.add(key.clone(), Duration::ZERO).await.flatten()
    }

    /// The identity of the object at `url`, if it is one that names its content for sure.
    pub(crate) fn object(&self, url: &str) -> Option<ObjectIdentity> {
        let address: ObjectAddress = url.parse().ok()?;
        ObjectIdentity::of(&address).filter(|object| object.is_trusted(self.objects.trust_etag))
    }

    /// The content of `object`, if it is cached. If the store does not answer it is fetched.
    pub(crate) async fn content(&self, object: &ObjectIdentity) -> Option<Sha256> {
        self.contents.add(object.clone(), Duration::ZERO).await.flatten()
    }

    /// What S3 says that the object at `url` contains, if it is to be asked.
    pub(crate) async fn checksum(&self, url: &str) -> Option<Sha256> {
        let is_asked = self.objects.ask_checksum && url.starts_with(OBJECT_PREFIX);
        if is_asked { self.images.sha256(url).await } else { None }
    }
}

/// Looks keys up in the store: those that wait while a look-up is under way go together in the next.
type CacheLookup<K, V> = Batcher<K, Option<V>>;

/// Looks keys up by `look_up`. `name` is what is looked up, for the log.
fn lookup<K, V, F>(
    name: &'static str,
    look_up: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
) -> CacheLookup<K, V>
where
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + 'static,
    F: Future<Output = PortResult<Vec<(K, V)>>> + Send + 'static,
{
    Batcher::start(BatchLimits::one_call_of(MAX_KEYS), move |keys: Vec<K>| {
        let distinct = Vec::from_iter(BTreeSet::from_iter(keys.iter().cloned()));
        let key_count = distinct.len();
        let found = look_up(distinct);
        let answers = async move {
            let found = found.await.unwrap_or_else(|error| {
                tracing::warn!(%error, key_count, "{name} cache lookup failed");
                Vec::new()
            });
            let found = BTreeMap::from_iter(found);
            keys.iter().map(|key| found.get(key).cloned()).collect()
        };
        answers.boxed()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::join_all;
    use tokio::time::{self, Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_that_wait_are_looked_up_together() {
        const SECOND: Duration = Duration::from_secs(1);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = calls.clone();
        let keys = lookup("test", move |keys: Vec<u32>| {
            called.lock().unwrap().push(keys.len());
            async move {
                time::sleep(SECOND).await;
                let even = keys.into_iter().filter(|key| key % 2 == 0);
                PortResult::Ok(even.map(|key| (key, key * 10)).collect())
            }
        });
        let keys = &keys;
        let get = move |n: u32| async move { keys.add(n, Duration::ZERO).await.flatten() };
        let began = Instant::now();
        let found: Vec<Option<u32>> = join_all((0..250).chain([200]).map(get)).await;
        assert_eq!(found[..4], [Some(0), None, Some(20), None]);
        assert_eq!((found.len(), found[250]), (251, Some(2_000)));
        assert_eq!(*calls.lock().unwrap(), [100, 100, 50], "one key is looked up once");
        assert_eq!(began.elapsed(), 3 * SECOND);

        // A caller that leaves holds up nobody for longer than its look-up takes.
        assert!(time::timeout(SECOND / 2, get(2)).await.is_err());
        assert_eq!(get(4).await, Some(40));
    }
}
