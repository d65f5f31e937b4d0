//! The tables of DynamoDB: what `flota provision` makes and `flota doctor` looks for.

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{create_table::CreateTableError, update_time_to_live::UpdateTimeToLiveError},
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TimeToLiveSpecification,
    },
};
use flota_core::{PortError, PortResult};

use super::error::failed;

/// When DynamoDB may delete an item, in seconds since 1970. Nothing is decided by it: it deletes
/// days later, and shows what has expired until then.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// A table as it is to be: billed on demand, as no two days of a fleet are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableSpec {
    /// Its name.
    pub(crate) name: String,
    /// Its key.
    pub(crate) key: Key,
    /// Its global secondary indexes, which project the keys alone: writing to them stays cheap.
    pub(crate) indexes: Vec<IndexSpec>,
    /// The attribute that says when an item may be deleted.
    pub(crate) ttl: Option<&'static str>,
}

/// A global secondary index as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexSpec {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its key.
    pub(crate) key: Key,
}

/// The attributes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The partition key.
    pub(crate) partition: Attribute,
    /// The sort key, if there is one.
    pub(crate) sort: Option<Attribute>,
}

/// An attribute of a key: its name and type.
pub(crate) type Attribute = (&'static str, ScalarAttributeType);

/// Requests with their rounds, packs, callbacks and counted attempts, one partition a request, and
/// idempotency keys.
pub(crate) mod requests {
    pub(crate) const PARTITION: &str = "request_id";
    pub(crate) const SORT: &str = "item_key";
    /// Holds only what is due some day: open rounds and pending callbacks.
    pub(crate) const DUE_INDEX: &str = "due";
    pub(crate) const DUE_SHARD: &str = "due_shard";
    pub(crate) const DUE_FROM: &str = "due_from";
}

/// Predictions, one partition an image.
pub(crate) mod predictions {
    pub(crate) const PARTITION: &str = "image_sha256";
    pub(crate) const SORT: &str = "model_version";
}

/// Aliases, by the SHA-256 of the object's identity: the identity itself may be longer than a key.
pub(crate) mod aliases {
    pub(crate) const PARTITION: &str = "object_sha256";
}

/// Dead letters, replays, and which replay of a model runs.
pub(crate) mod dead_letters {
    pub(crate) const PARTITION: &str = "letter_id";
    pub(crate) const AGE_INDEX: &str = "by_age";
    pub(crate) const LIST: &str = "list_shard";
    pub(crate) const LISTED_AT: &str = "listed_at";
}

/// Versions of models, the current ones, and workers' heartbeats, one partition a kind.
pub(crate) mod models {
    pub(crate) const PARTITION: &str = "record_kind";
    pub(crate) const SORT: &str = "record_key";
}

/// The name of the table of `what`: `requests`, `predictions`, `aliases`, `dead-letters`, `models`.
pub(crate) fn table_name(prefix: &str, what: &str) -> String {
    format!("{prefix}-{what}")
}

/// All tables of the fleet named `prefix`.
pub(crate) fn tables(prefix: &str) -> Vec<TableSpec> {
    use ScalarAttributeType::{N, S};
    let table =
        |what, key, indexes, ttl| TableSpec { name: table_name(prefix, what), key, indexes, ttl };
    let due = IndexSpec {
        name: requests::DUE_INDEX,
        key: Key::sorted((requests::DUE_SHARD, S), (requests::DUE_FROM, N)),
    };
    let by_age = IndexSpec {
        name: dead_letters::AGE_INDEX,
        key: Key::sorted((dead_letters::LIST, S), (dead_letters::LISTED_AT, S)),
    };
    vec![
        table(
            "requests",
            Key::sorted((requests::PARTITION, S), (requests::SORT, S)),
            vec![due],
            Some(EXPIRES_AT),
        ),
        table(
            "predictions",
            Key::sorted((predictions::PARTITION, S), (predictions::SORT, S)),
            vec![],
            None,
        ),
        table("aliases", Key::plain((aliases::PARTITION, S)), vec![], None),
        table("dead-letters", Key::plain((dead_letters::PARTITION, S)), vec![by_age], None),
        table(
            "models",
            Key::sorted((models::PARTITION, S), (models::SORT, S)),
            vec![],
            Some(EXPIRES_AT),
        ),
    ]
}

impl Key {
    fn plain(partition: Attribute) -> Self {
        Self { partition, sort: None }
    }

    fn sorted(partition: Attribute, sort: Attribute) -> Self {
        Self { partition, sort: Some(sort) }
    }

    /// The partition key, then the sort key.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    fn schema(&self) -> Vec<KeySchemaElement> {
        let element = |(attribute, kind): (&Attribute, KeyType)| {
            let element = KeySchemaElement::builder().attribute_name(attribute.0).key_type(kind);
            element.build().expect("name and type are set")
        };
        self.attributes().zip([KeyType::Hash, KeyType::Range]).map(element).collect()
    }
}

impl IndexSpec {
    fn definition(&self) -> GlobalSecondaryIndex {
        GlobalSecondaryIndex::builder()
            .index_name(self.name)
            .set_key_schema(Some(self.key.schema()))
            .projection(keys_only())
            .build()
            .expect("name and key are set")
    }
}

impl TableSpec {
    /// Makes the table unless it is there; it may take a while until it can be used. Whether it
    /// was made.
    pub(crate) async fn create(&self, client: &Client) -> PortResult<bool> {
        let mut attributes: Vec<&Attribute> = self.key.attributes().collect();
        attributes.extend(self.indexes.iter().flat_map(|index| index.key.attributes()));
        let indexes: Vec<_> = self.indexes.iter().map(IndexSpec::definition).collect();
        let created = client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(self.key.schema()))
            .set_attribute_definitions(Some(attributes.into_iter().map(define).collect()))
            .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
            .send()
            .await;
        match created {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(answer))
                if matches!(answer.err(), CreateTableError::ResourceInUseException(_)) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed(format!("making the table {}", self.name), error)),
        }
    }

    /// Adds an index that the table was made without; it may take a while until it can be used.
    pub(crate) async fn add_index(&self, client: &Client, index: &IndexSpec) -> PortResult<()> {
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(index.name)
            .set_key_schema(Some(index.key.schema()))
            .projection(keys_only())
            .build()
            .expect("name and key are set");
        let added = client
            .update_table()
            .table_name(&self.name)
            .set_attribute_definitions(Some(index.key.attributes().map(define).collect()))
            .global_secondary_index_updates(
                GlobalSecondaryIndexUpdate::builder().create(action).build(),
            )
            .send()
            .await;
        let what = || format!("adding the index {} to {}", index.name, self.name);
        added.map(drop).map_err(|error| failed(what(), error))
    }

    /// Lets expired items be deleted. DynamoDB refuses this while the table is being made, and
    /// where it is so already.
    pub(crate) async fn enable_ttl(&self, client: &Client) -> PortResult<()> {
        let Some(attribute) = self.ttl else { return Ok(()) };
        let ttl = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true);
        let enabled = client
            .update_time_to_live()
            .table_name(&self.name)
            .time_to_live_specification(ttl.build().expect("name and switch are set"))
            .send()
            .await;
        enabled.map(drop).map_err(|error: SdkError<UpdateTimeToLiveError>| -> PortError {
            failed(format!("letting expired items of {} be deleted", self.name), error)
        })
    }
}

fn define((name, kind): &Attribute) -> AttributeDefinition {
    let definition =
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone());
    definition.build().expect("name and type are set")
}

fn keys_only() -> Projection {
    Projection::builder().projection_type(ProjectionType::KeysOnly).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_key_attributes_are_distinct() {
        let tables = tables("flota");
        let names: BTreeSet<_> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names.len(), tables.len());
        assert!(names.contains("flota-dead-letters"), "{names:?}");
        for table in &tables {
            let indexes = table.indexes.iter().flat_map(|index| index.key.attributes());
            let all: Vec<_> = table.key.attributes().chain(indexes).map(|(name, _)| name).collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{}", table.name);
        }
    }
}
