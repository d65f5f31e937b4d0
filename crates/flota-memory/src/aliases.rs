use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{Alias, ObjectIdentity, PortResult, Sha256, ports::Aliases};

/// Aliases by their objects.
#[derive(Default)]
pub(super) struct MemoryAliases {
    known: Mutex<BTreeMap<ObjectIdentity, Sha256>>,
}

impl MemoryAliases {
    /// Deletes those to contents that `is_useless` says true of; how many.
    pub(super) fn delete(&self, is_useless: impl Fn(Sha256) -> bool) -> usize {
        let mut known = self.known();
        let before = known.len();
        known.retain(|_, sha256| !is_useless(*sha256));
        before - known.len()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ObjectIdentity, Sha256>> {
        self.known.lock().expect("nothing panics under this lock")
    }
}

#[async_trait]
impl Aliases for MemoryAliases {
    async fn get(&self, objects: &[ObjectIdentity]) -> PortResult<Vec<Alias>> {
        let known = self.known();
        let alias = |object: &ObjectIdentity| {
            let sha256 = *known.get(object)?;
            Some(Alias { object: object.clone(), sha256 })
        };
        Ok(objects.iter().filter_map(alias).collect())
    }

    async fn put(&self, aliases: &[Alias]) -> PortResult<()> {
        let mut known = self.known();
        for Alias { object, sha256 } in aliases {
            known.entry(object.clone()).or_insert(*sha256);
        }
        Ok(())
    }
}
