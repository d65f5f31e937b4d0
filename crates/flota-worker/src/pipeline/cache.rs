//! The cache of predictions by content: a cached image is not computed again, and a cached object not even
//! fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use flota_core::{
    Alias, OBJECT_PREFIX, ObjectAddress, ObjectIdentity, PortResult, Prediction, PredictionKey,
    Sha256, ports::Images,
};
use flota_platform::{Platform, settings::ObjectSettings};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

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
            let found = async move {
                let found = predictions.get(&keys).await?;
                let pairs = found.into_iter().map(|found| (found.key.clone(), found));
                PortResult::Ok(pairs.collect::<Vec<_>>())
            };
            found.boxed()
        };
        let look_up_aliases = move |objects: Vec<ObjectIdentity>| {
            let aliases = Arc::clone(&aliases);
            let found = async move {
                let found = aliases.get(&objects).await?;
                let pairs = found.into_iter().map(|Alias { object, sha256 }| (object, sha256));
                PortResult::Ok(pairs.collect::<Vec<_>>())
            };
            found.boxed()
        };
        Self {
            predictions: CacheLookup::new("prediction", Arc::new(look_up_predictions)),
            contents: CacheLookup::new("alias", Arc::new(look_up_aliases)),
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
        self.predictions.get(key).await
    }

    /// The identity of the object at `url`, if it is one that names its content for sure.
    pub(crate) fn object(&self, url: &str) -> Option<ObjectIdentity> {
        let address: ObjectAddress = url.parse().ok()?;
        ObjectIdentity::of(&address).filter(|object| object.is_trusted(self.objects.trust_etag))
    }

    /// The content of `object`, if it is cached. If the store does not answer it is fetched.
    pub(crate) async fn content(&self, object: &ObjectIdentity) -> Option<Sha256> {
        self.contents.get(object).await
    }

    /// What S3 says that the object at `url` contains, if it is to be asked.
    pub(crate) async fn checksum(&self, url: &str) -> Option<Sha256> {
        let is_asked = self.objects.ask_checksum && url.starts_with(OBJECT_PREFIX);
        if is_asked { self.images.sha256(url).await } else { None }
    }
}

/// Looks keys up in the store. Those that wait while a look-up is under way go together in the next: at most one for
/// each image of the worker.
struct CacheLookup<K, V> {
    /// What is looked up, for the log.
    name: &'static str,
    look_up: LookUp<K, V>,
    /// Held by the look-up under way.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The last batch that began: others may join it until its turn comes.
    last: Mutex<Option<LookupBatch<K, V>>>,
}

type LookUp<K, V> =
    Arc<dyn Fn(Vec<K>) -> BoxFuture<'static, PortResult<Vec<(K, V)>>> + Send + Sync>;
type Found<K, V> = BoxFuture<'static, Arc<BTreeMap<K, V>>>;

/// Keys that are looked up together, as soon as one of their callers may.
struct LookupBatch<K, V> {
    /// `None` once its turn has come.
    keys: Arc<Mutex<Option<BTreeSet<K>>>>,
    found: WeakShared<Found<K, V>>,
}

impl<K, V> CacheLookup<K, V>
where
    K: Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new(name: &'static str, look_up: LookUp<K, V>) -> Self {
        Self { name, look_up, turn: Arc::default(), last: Mutex::new(None) }
    }

    async fn get(&self, key: &K) -> Option<V> {
        self.join(key).await.get(key).cloned()
    }

    /// Joins the last batch, or begins one.
    fn join(&self, key: &K) -> Shared<Found<K, V>> {
        let mut last = self.last.lock().expect("nothing panics under this lock");
        if let Some(found) = last.as_ref().and_then(|batch| batch.join(key)) {
            return found;
        }
        let keys = Arc::new(Mutex::new(Some(BTreeSet::from([key.clone()]))));
        let (name, look_up, turn) = (self.name, self.look_up.clone(), self.turn.clone());
        let waiting = keys.clone();
        let found = async move {
            let _turn = turn.lock().await;
            let keys = waiting.lock().expect("nothing panics under this lock").take();
            let keys: Vec<K> = keys.into_iter().flatten().collect();
            let key_count = keys.len();
            let found = look_up(keys).await.unwrap_or_else(|error| {
                tracing::warn!(%error, key_count, "{name} cache lookup failed");
                Vec::new()
            });
            Arc::new(found.into_iter().collect::<BTreeMap<K, V>>())
        };
        let found = found.boxed().shared();
        *last = found.downgrade().map(|found| LookupBatch { keys, found });
        found
    }
}

impl<K: Ord + Clone, V> LookupBatch<K, V> {
    fn join(&self, key: &K) -> Option<Shared<Found<K, V>>> {
        let found = self.found.upgrade()?;
        let mut keys = self.keys.lock().expect("nothing panics under this lock");
        keys.as_mut()?.insert(key.clone());
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::{self, Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_that_wait_are_looked_up_together() {
        const SECOND: Duration = Duration::from_secs(1);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = calls.clone();
        let look_up = move |keys: Vec<u32>| {
            called.lock().unwrap().push(keys.len());
            let found = async move {
                time::sleep(SECOND).await;
                let even = keys.into_iter().filter(|key| key % 2 == 0);
                PortResult::Ok(even.map(|key| (key, key * 10)).collect::<Vec<_>>())
            };
            found.boxed()
        };
        let lookup = &CacheLookup::new("test", Arc::new(look_up));
        let began = Instant::now();
        let callers = (0..250).chain([0]).map(|n| async move { lookup.get(&n).await });
        let found: Vec<Option<u32>> = join_all(callers).await;
        assert_eq!(found[..4], [Some(0), None, Some(20), None]);
        assert_eq!((found.len(), found[250]), (251, Some(0)));
        assert_eq!(*calls.lock().unwrap(), [1, 250]);
        assert_eq!(began.elapsed(), 2 * SECOND);

        // A caller that leaves takes its look-up along, and the next one begins another.
        assert!(time::timeout(SECOND / 2, lookup.get(&2)).await.is_err());
        assert_eq!(lookup.get(&4).await, Some(40));
    }
}
