use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{Alias, ObjectIdentity, PortResult, ports::Aliases};
use rusqlite::{Connection, params};

use super::{columns::sha256, database::Database};

/// Aliases in `records.sqlite`.
pub(super) struct EmbeddedAliases {
    database: Arc<Database>,
}

impl EmbeddedAliases {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Aliases for EmbeddedAliases {
    async fn get(&self, objects: &[ObjectIdentity]) -> PortResult<Vec<Alias>> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let objects = objects.to_vec();
        let read = move |connection: &Connection| {
            let mut select =
                connection.prepare_cached("SELECT sha256 FROM aliases WHERE object = ?1")?;
            let mut found = Vec::new();
            for object in objects {
                let mut rows = select.query([object.to_string()])?;
                if let Some(row) = rows.next()? {
                    found.push(Alias { sha256: sha256(row, 0)?, object });
                }
            }
            Ok(found)
        };
        self.database.read("reading aliases", read).await
    }

    async fn put(&self, aliases: &[Alias]) -> PortResult<()> {
        if aliases.is_empty() {
            return Ok(());
        }
        let aliases = aliases.to_vec();
        let write = move |connection: &Connection| {
            let mut insert = connection
                .prepare_cached("INSERT OR IGNORE INTO aliases (object, sha256) VALUES (?1, ?2)")?;
            for Alias { object, sha256 } in aliases {
                insert.execute(params![object.to_string(), sha256.to_string()])?;
            }
            Ok(())
        };
        self.database.write("keeping aliases", write).await
    }
}
