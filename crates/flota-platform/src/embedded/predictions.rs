use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use flota_core::{
    ModelName, PortResult, Prediction, PredictionKey, Sha256,
    ports::{Clock, Predictions},
};
use rusqlite::{Connection, params};

use super::{
    columns::{json, nanos, record},
    database::Database,
    error::Fault,
};

/// When a prediction was last used is not written again within so long: it is deleted by the day.
const USE_STEP: Duration = Duration::from_secs(60 * 60);

/// Predictions in `records.sqlite`.
pub(super) struct EmbeddedPredictions {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
}

impl EmbeddedPredictions {
    pub(super) fn new(database: Arc<Database>, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// The present time, and the latest time of a use that is written again.
    fn times(&self) -> (i64, i64) {
        let now = self.clock.now();
        (nanos(now), nanos(now - USE_STEP))
    }
}

#[async_trait]
impl Predictions for EmbeddedPredictions {
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        let read = move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT record FROM predictions WHERE sha256 = ?1 AND model = ?2 AND version = ?3",
            )?;
            let mut found = Vec::new();
            for PredictionKey { sha256, model, version } in keys {
                let mut rows =
                    select.query(params![sha256.to_string(), model.as_str(), version.0])?;
                if let Some(row) = rows.next()? {
                    found.push(record(row, 0)?);
                }
            }
            Ok(found)
        };
        self.database.read("reading predictions", read).await
    }

    async fn put(&self, predictions: &[Prediction]) -> PortResult<()> {
        if predictions.is_empty() {
            return Ok(());
        }
        let predictions = predictions.to_vec();
        let (now, long_ago) = self.times();
        let write = move |connection: &Connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO predictions (sha256, model, version, computed_at, record, used_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?7)
                 ON CONFLICT (sha256, model, version) DO UPDATE
                 SET computed_at = iif(?6, excluded.computed_at, computed_at),
                     record = iif(?6, excluded.record, record),
                     used_at = excluded.used_at
                 WHERE ?6 OR coalesce(used_at, computed_at) < ?8",
            )?;
            for prediction in predictions {
                let PredictionKey { sha256, model, version } = &prediction.key;
                insert.execute(params![
                    sha256.to_string(),
                    model.as_str(),
                    version.0,
                    nanos(prediction.computed_at),
                    json(&prediction)?,
                    version.is_dev(),
                    now,
                    long_ago
                ])?;
            }
            Ok(())
        };
        self.database.write("keeping predictions", write).await
    }

    async fn used(&self, keys: &[PredictionKey]) -> PortResult<Vec<PredictionKey>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        let (now, long_ago) = self.times();
        let write = move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT rowid, coalesce(used_at, computed_at) FROM predictions
                 WHERE sha256 = ?1 AND model = ?2 AND version = ?3",
            )?;
            let mut update = connection
                .prepare_cached("UPDATE predictions SET used_at = ?2 WHERE rowid = ?1")?;
            let mut stored = Vec::new();
            for key in keys {
                let PredictionKey { sha256, model, version } = &key;
                let by = params![sha256.to_string(), model.as_str(), version.0];
                let mut rows = select.query(by)?;
                let Some(row) = rows.next()? else { continue };
                let (row, used_at): (i64, i64) = (row.get(0)?, row.get(1)?);
                if used_at < long_ago {
                    update.execute([row, now])?;
                }
                drop(rows);
                stored.push(key);
            }
            Ok(stored)
        };
        self.database.write("noting the use of predictions", write).await
    }

    async fn of_image(
        &self,
        sha256: Sha256,
        model: Option<&ModelName>,
    ) -> PortResult<Vec<Prediction>> {
        let model = model.cloned();
        let read = move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT record FROM predictions
                 WHERE sha256 = ?1 AND (?2 IS NULL OR model = ?2)
                 ORDER BY computed_at DESC, model, version",
            )?;
            let by = params![sha256.to_string(), model.as_ref().map(ModelName::as_str)];
            let found = select.query_and_then(by, |row| record(row, 0))?;
            found.collect::<Result<_, Fault>>()
        };
        self.database.read("reading an image's predictions", read).await
    }
}
