use std::collections::HashMap;

use async_trait::async_trait;
use flota_core::{Alias, ObjectIdentity, PortResult, Sha256, ports::Aliases};

use super::{
    columns::{Item, damaged, item, read_text, text},
    table::Table,
};
use crate::aws::tables::aliases::PARTITION;

const CONTENT: &str = "content_sha256";

/// Aliases, by the SHA-256 of the object's identity.
pub(super) struct DynamoAliases {
    table: Table,
}

impl DynamoAliases {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }
}

#[async_trait]
impl Aliases for DynamoAliases {
    async fn get(&self, objects: &[ObjectIdentity]) -> PortResult<Vec<Alias>> {
        let objects: HashMap<String, &ObjectIdentity> =
            objects.iter().map(|object| (digest(object), object)).collect();
        let keys = objects.keys().map(|digest| key_of(digest)).collect();
        let mut known = Vec::new();
        for item in self.table.get_many("reading aliases", keys).await? {
            let sha256 = read_text(&item, CONTENT)?.parse();
            let sha256: Sha256 = sha256.map_err(|error| damaged(CONTENT, error))?;
            if let Some(object) = objects.get(read_text(&item, PARTITION)?) {
                known.push(Alias { object: (*object).clone(), sha256 });
            }
        }
        Ok(known)
    }

    /// One write unit for each.
    async fn put(&self, aliases: &[Alias]) -> PortResult<()> {
        let distinct: HashMap<String, Sha256> =
            aliases.iter().map(|alias| (digest(&alias.object), alias.sha256)).collect();
        let alias = |(digest, content): (String, Sha256)| {
            let mut item = key_of(&digest);
            item.insert(CONTENT.to_owned(), text(content.to_string()));
            item
        };
        let items = distinct.into_iter().map(alias).collect();
        self.table.put_many("keeping aliases", items).await
    }
}

fn digest(object: &ObjectIdentity) -> String {
    Sha256::of(object.to_string().as_bytes()).to_string()
}

fn key_of(digest: &str) -> Item {
    item([(PARTITION, text(digest))])
}
