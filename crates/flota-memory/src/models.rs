use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{
    ModelName, ModelVersion, PortResult,
    ports::{Models, RegisteredModel, Registration, RegistrationOutcome, Service, WorkerHeartbeat},
};
use jiff::Timestamp;

/// Registered models and the workers that say they live.
#[derive(Default)]
pub(super) struct MemoryModels {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    versions: BTreeMap<(ModelName, ModelVersion), Registration>,
    current: BTreeMap<ModelName, ModelVersion>,
    lines: BTreeMap<String, WorkerHeartbeat>,
}

impl MemoryModels {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics under this lock")
    }
}

impl Tables {
    fn registered(&self, name: &ModelName, now: Timestamp) -> Option<RegisteredModel> {
        let key = (name.clone(), self.current.get(name)?.clone());
        let alive = self.lines.values().filter(|line| line.until > now);
        Some(RegisteredModel::with_lines(self.versions.get(&key)?.clone(), alive))
    }
}

#[async_trait]
impl Models for MemoryModels {
    async fn register(&self, registration: &Registration) -> PortResult<RegistrationOutcome> {
        let mut tables = self.tables();
        let (name, version) = (&registration.manifest.name, &registration.manifest.version);
        let key = (name.clone(), version.clone());
        let mut registration = registration.clone();
        let current = tables.current.get(name).map(|version| (name.clone(), version.clone()));
        if let Some(earlier) = current.and_then(|key| tables.versions.get(&key)) {
            let Registration { worker, former_workers, .. } = earlier.clone();
            registration.follow(Service { worker, former_workers });
        }
        match tables.versions.get(&key) {
            Some(known) if known.digest == registration.digest => registration.at = known.at,
            Some(known) if !version.is_dev() => {
                return Ok(RegistrationOutcome::Conflict(known.digest));
            }
            Some(_) | None => {}
        }
        tables.versions.insert(key, registration);
        tables.current.insert(name.clone(), version.clone());
        Ok(RegistrationOutcome::Registered)
    }

    async fn is_registered(&self, name: &ModelName, version: &ModelVersion) -> PortResult<bool> {
        Ok(self.tables().versions.contains_key(&(name.clone(), version.clone())))
    }

    async fn alive(&self, line: &WorkerHeartbeat) -> PortResult<()> {
        self.tables().lines.insert(line.instance.clone(), line.clone());
        Ok(())
    }

    async fn gone(&self, instance: &str) -> PortResult<()> {
        self.tables().lines.remove(instance);
        Ok(())
    }

    async fn workers(&self, now: Timestamp) -> PortResult<Vec<WorkerHeartbeat>> {
        let tables = self.tables();
        Ok(tables.lines.values().filter(|line| line.until > now).cloned().collect())
    }

    async fn list(&self, now: Timestamp) -> PortResult<Vec<RegisteredModel>> {
        let tables = self.tables();
        Ok(tables.current.keys().filter_map(|name| tables.registered(name, now)).collect())
    }

    async fn get(&self, name: &ModelName, now: Timestamp) -> PortResult<Option<RegisteredModel>> {
        Ok(self.tables().registered(name, now))
    }
}
