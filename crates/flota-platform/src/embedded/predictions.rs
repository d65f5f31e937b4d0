use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{ModelName, PortResult, Prediction, PredictionKey, Sha256, ports::Predictions};
use rusqlite::{Connection, params};

use super::{
    columns::{json, nanos, record},
    database::Database,
    error::Fault,
};

/// Predictions in `records.sqlite`.
pub(super) struct EmbeddedPredictions {
    database: Arc<Database>,
}

impl EmbeddedPredictions {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Predictions for EmbeddedPredictions {
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>> {
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
        let write = move |connection: &Connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO predictions (sha256, model, version, computed_at, record)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (sha256, model, version) DO UPDATE
                 SET computed_at = excluded.computed_at, record = excluded.record WHERE ?6",
            )?;
            for prediction in predictions {
                let PredictionKey { sha256, model, version } = &prediction.key;
                insert.execute(params![
                    sha256.to_string(),
                    model.as_str(),
                    version.0,
                    nanos(prediction.computed_at),
                    json(&prediction)?,
                    version.is_dev()
                ])?;
            }
            Ok(())
        };
        self.database.write("keeping predictions", write).await
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
