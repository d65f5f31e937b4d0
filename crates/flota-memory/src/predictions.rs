use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{
    ModelName, PortResult, Prediction, PredictionKey, Sha256,
    ports::{Clock, Predictions},
};
use jiff::Timestamp;

/// Predictions by their keys.
pub(super) struct MemoryPredictions {
    known: Mutex<BTreeMap<PredictionKey, Prediction>>,
    used: Mutex<BTreeMap<PredictionKey, Timestamp>>,
    clock: Arc<dyn Clock>,
}

impl MemoryPredictions {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: Mutex::default(), used: Mutex::default(), clock }
    }

    /// Deletes those of which, with the time of their last use, `is_old` says true; how many.
    pub(super) fn delete(&self, is_old: impl Fn(&PredictionKey, Timestamp) -> bool) -> usize {
        let mut known = self.known();
        let mut used = self.used.lock().expect("nothing panics under this lock");
        let before = known.len();
        used.retain(|key, at| !is_old(key, *at));
        known.retain(|key, _| used.contains_key(key));
        before - known.len()
    }

    /// The images of which a prediction is stored.
    pub(super) fn images(&self) -> BTreeSet<Sha256> {
        self.known().keys().map(|key| key.sha256).collect()
    }

    fn note_use(&self, key: &PredictionKey) {
        let mut used = self.used.lock().expect("nothing panics under this lock");
        used.insert(key.clone(), self.clock.now());
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PredictionKey, Prediction>> {
        self.known.lock().expect("nothing panics under this lock")
    }
}

#[async_trait]
impl Predictions for MemoryPredictions {
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>> {
        let known = self.known();
        Ok(keys.iter().filter_map(|key| known.get(key).cloned()).collect())
    }

    async fn put(&self, predictions: &[Prediction]) -> PortResult<()> {
        let mut known = self.known();
        for prediction in predictions {
            self.note_use(&prediction.key);
            if prediction.key.version.is_dev() || !known.contains_key(&prediction.key) {
                known.insert(prediction.key.clone(), prediction.clone());
            }
        }
        Ok(())
    }

    async fn used(&self, keys: &[PredictionKey]) -> PortResult<Vec<PredictionKey>> {
        let known = self.known();
        let stored = keys.iter().filter(|key| known.contains_key(*key));
        Ok(stored.inspect(|key| self.note_use(key)).cloned().collect())
    }

    async fn of_image(
        &self,
        sha256: Sha256,
        model: Option<&ModelName>,
    ) -> PortResult<Vec<Prediction>> {
        let is_wanted = |key: &PredictionKey| {
            key.sha256 == sha256 && model.is_none_or(|model| *model == key.model)
        };
        let mut found: Vec<Prediction> =
            self.known().values().filter(|known| is_wanted(&known.key)).cloned().collect();
        found.sort_by(|a, b| (b.computed_at, &a.key).cmp(&(a.computed_at, &b.key)));
        Ok(found)
    }
}
