use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{ModelName, PortResult, Prediction, PredictionKey, Sha256, ports::Predictions};

/// Predictions by their keys.
#[derive(Default)]
pub(super) struct MemoryPredictions {
    known: Mutex<BTreeMap<PredictionKey, Prediction>>,
}

impl MemoryPredictions {
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
            if prediction.key.version.is_dev() || !known.contains_key(&prediction.key) {
                known.insert(prediction.key.clone(), prediction.clone());
            }
        }
        Ok(())
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
