use std::collections::BTreeSet;

use async_trait::async_trait;
use flota_core::{ModelName, PortResult, Prediction, PredictionKey, Sha256, ports::Predictions};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    batches::Query,
    columns::{Item, document, item, read_document, text},
    table::Table,
};
use crate::aws::tables::predictions::{PARTITION, SORT};

const DOCUMENT: &str = "document";
/// Writes under way at once: a pack's predictions take about as long as two of them.
const WRITES_AT_ONCE: usize = 10;

/// Predictions, one partition an image.
pub(super) struct DynamoPredictions {
    table: Table,
}

impl DynamoPredictions {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    async fn put_one(&self, prediction: &Prediction) -> PortResult<()> {
        let mut item = key_of(&prediction.key);
        item.insert(DOCUMENT.to_owned(), document(prediction)?);
        let is_replaced = prediction.key.version.is_dev();
        let condition = (!is_replaced).then_some("attribute_not_exists(image_sha256)");
        self.table.put("keeping a prediction", &item, condition).await.map(drop)
    }
}

#[async_trait]
impl Predictions for DynamoPredictions {
    async fn get(&self, keys: &[PredictionKey]) -> PortResult<Vec<Prediction>> {
        let distinct: BTreeSet<&PredictionKey> = keys.iter().collect();
        let keys = distinct.into_iter().map(key_of).collect();
        let items = self.table.get_many("reading predictions", keys).await?;
        items.iter().map(|item| read_document(item, DOCUMENT)).collect()
    }

    /// A write unit for each prediction, or for each kilobyte of a compressed one. They are written
    /// one by one: a batch knows no conditions, and a transaction costs twice.
    async fn put(&self, predictions: &[Prediction]) -> PortResult<()> {
        let writes: Vec<_> =
            predictions.iter().map(|prediction| self.put_one(prediction)).collect();
        stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }

    async fn of_image(
        &self,
        sha256: Sha256,
        model: Option<&ModelName>,
    ) -> PortResult<Vec<Prediction>> {
        let mut values = item([(":image", text(sha256.to_string()))]);
        let condition = match model {
            Some(model) => {
                values.insert(":model".to_owned(), text(format!("{model}#")));
                "image_sha256 = :image AND begins_with(model_version, :model)"
            }
            None => "image_sha256 = :image",
        };
        let query = Query::all(condition, values);
        let items = self.table.query("reading an image's predictions", query).await?;
        let found = items.iter().map(|item| read_document(item, DOCUMENT));
        let mut found = found.collect::<PortResult<Vec<Prediction>>>()?;
        found.sort_by(|one, other| {
            other.computed_at.cmp(&one.computed_at).then_with(|| one.key.cmp(&other.key))
        });
        Ok(found)
    }
}

fn key_of(key: &PredictionKey) -> Item {
    // No model has a # in its name.
    let version = format!("{}#{}", key.model, key.version);
    item([(PARTITION, text(key.sha256.to_string())), (SORT, text(version))])
}
