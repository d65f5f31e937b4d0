//! What was said of an image before is not computed again, and what an object contains not fetched.

use std::{collections::BTreeMap, sync::Arc};

use flota_core::{
    Alias, OBJECT_PREFIX, ObjectAddress, ObjectIdentity, PortResult, Prediction, PredictionKey,
    Sha256, ports::Images,
};
use flota_platform::{Platform, settings::ObjectSettings};
use tokio::sync::{mpsc, oneshot};

/// Questions that wait for the look-up before theirs to end; beyond that, whoever asks waits.
const WAITING_COUNT: usize = 256;
/// Most keys of one look-up: what DynamoDB takes in one call.
const MAX_KEYS: usize = 100;

/// What the store knows.
pub(crate) struct Known {
    predictions: Lookup<PredictionKey, Prediction>,
    contents: Lookup<ObjectIdentity, Sha256>,
    images: Arc<dyn Images>,
    objects: ObjectSettings,
}

impl Known {
    /// Starts the asking tasks; they end with the last handle.
    pub(crate) fn start(platform: &Platform, objects: ObjectSettings) -> Self {
        let (predictions, aliases) = (platform.predictions.clone(), platform.aliases.clone());
        let predictions = Lookup::start("predictions", move |keys: Vec<PredictionKey>| {
            let predictions = Arc::clone(&predictions);
            async move {
                let found = predictions.get(&keys).await?;
                Ok(found.into_iter().map(|found| (found.key.clone(), found)).collect())
            }
        });
        let contents = Lookup::start("aliases", move |objects: Vec<ObjectIdentity>| {
            let aliases = Arc::clone(&aliases);
            async move {
                let found = aliases.get(&objects).await?;
                Ok(found.into_iter().map(|Alias { object, sha256 }| (object, sha256)).collect())
            }
        });
        Self { predictions, contents, images: platform.images.clone(), objects }
    }

    /// The prediction named `key`, if it is known. A development version never is, and where the
    /// store does not answer nothing is: then it is computed.
    pub(crate) async fn prediction(&self, key: &PredictionKey) -> Option<Prediction> {
        if key.version.is_dev() {
            return None;
        }
        self.predictions.get(key.clone()).await
    }

    /// What names the content behind `address`, if something does that can be trusted.
    pub(crate) fn object(&self, address: &str) -> Option<ObjectIdentity> {
        let address: ObjectAddress = address.parse().ok()?;
        ObjectIdentity::of(&address).filter(|object| object.is_trusted(self.objects.trust_etag))
    }

    /// The content of `object`, if it is known. Where the store does not answer it is not: then it
    /// is fetched.
    pub(crate) async fn content(&self, object: &ObjectIdentity) -> Option<Sha256> {
        self.contents.get(object.clone()).await
    }

    /// What S3 says that the object at `address` contains, if it is to be asked.
    pub(crate) async fn checksum(&self, address: &str) -> Option<Sha256> {
        let is_asked = self.objects.ask_checksum && address.starts_with(OBJECT_PREFIX);
        if is_asked { self.images.sha256(address).await } else { None }
    }
}

/// Asks the store. Whatever waits while a look-up is under way is asked together in the next.
struct Lookup<K, V> {
    waiting: mpsc::Sender<Question<K, V>>,
}

struct Question<K, V> {
    key: K,
    reply: oneshot::Sender<V>,
}

impl<K, V> Lookup<K, V>
where
    K: Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    fn start<F, A>(what: &'static str, ask: F) -> Self
    where
        F: Fn(Vec<K>) -> A + Send + 'static,
        A: Future<Output = PortResult<Vec<(K, V)>>> + Send + 'static,
    {
        let (waiting, questions) = mpsc::channel(WAITING_COUNT);
        tokio::spawn(answer_all(what, ask, questions));
        Self { waiting }
    }

    async fn get(&self, key: K) -> Option<V> {
        let (reply, answer) = oneshot::channel();
        self.waiting.send(Question { key, reply }).await.ok()?;
        answer.await.ok()
    }
}

async fn answer_all<K, V, F, A>(
    what: &'static str,
    ask: F,
    mut waiting: mpsc::Receiver<Question<K, V>>,
) where
    K: Ord + Clone,
    V: Clone,
    F: Fn(Vec<K>) -> A,
    A: Future<Output = PortResult<Vec<(K, V)>>>,
{
    let mut questions = Vec::with_capacity(MAX_KEYS);
    while waiting.recv_many(&mut questions, MAX_KEYS).await > 0 {
        let mut by_key: BTreeMap<K, Vec<oneshot::Sender<V>>> = BTreeMap::new();
        for question in questions.drain(..) {
            by_key.entry(question.key).or_default().push(question.reply);
        }
        let keys: Vec<K> = by_key.keys().cloned().collect();
        let found = match ask(keys).await {
            Ok(found) => found,
            Err(error) => {
                let key_count = by_key.len();
                tracing::warn!(%error, key_count, "{what} could not be looked up");
                continue;
            }
        };
        for (key, value) in found {
            for reply in by_key.remove(&key).into_iter().flatten() {
                let _ = reply.send(value.clone());
            }
        }
    }
}
