//! The tables of DynamoDB: what `flota provision` creates and `flota doctor` checks.

use aws_sdk_dynamodb::types::ScalarAttributeType;

/// When DynamoDB may delete an item, in seconds since 1970. Nothing is decided by it: it deletes
/// days later, and shows what has expired until then.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// A table as it is to be: billed on demand, as no two days of a fleet are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: Key,
    /// Its global secondary indexes, which project the keys alone: writing to them stays cheap.
    pub indexes: Vec<IndexSpec>,
    /// The attribute that says when an item may be deleted.
    pub ttl: Option<&'static str>,
}

/// A global secondary index as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// Its name.
    pub name: &'static str,
    /// Its key.
    pub key: Key,
}

/// The attributes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key.
    pub partition: Attribute,
    /// The sort key, if there is one.
    pub sort: Option<Attribute>,
}

/// An attribute of a key: its name and type.
pub type Attribute = (&'static str, ScalarAttributeType);

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
pub fn table_name(prefix: &str, what: &str) -> String {
    format!("{prefix}-{what}")
}

/// All tables of the fleet named `prefix`.
pub fn tables(prefix: &str) -> Vec<TableSpec> {
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
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }
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
