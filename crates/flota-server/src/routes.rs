//! Who serves which model, as submissions ask it again and again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_core::{
    ModelName, ModelVersion, PortResult, Route,
    ports::{Clock, Models, Registration},
};
use tokio::time::Instant;

/// How long what was read is believed. A model that moved meanwhile costs its tasks a detour.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The registered models with their workers.
pub(crate) struct Routes {
    models: Arc<dyn Models>,
    clock: Arc<dyn Clock>,
    read: Mutex<Option<Read>>,
}

#[derive(Clone)]
struct Read {
    at: Instant,
    routes: Arc<[Route]>,
    versions: Arc<BTreeMap<ModelName, ModelVersion>>,
}

impl Routes {
    pub(crate) fn new(models: Arc<dyn Models>, clock: Arc<dyn Clock>) -> Self {
        Self { models, clock, read: Mutex::default() }
    }

    /// All routes, among them those of `wanted` models as far as there are any: what is not known is
    /// always looked up.
    pub(crate) async fn of(&self, wanted: &[String]) -> PortResult<Arc<[Route]>> {
        Ok(self.read(wanted).await?.routes)
    }

    /// The current versions of the models.
    pub(crate) async fn versions(&self) -> PortResult<Arc<BTreeMap<ModelName, ModelVersion>>> {
        Ok(self.read(&[]).await?.versions)
    }

    async fn read(&self, wanted: &[String]) -> PortResult<Read> {
        let read = self.read.lock().expect("nothing panics under this lock").clone();
        let is_known = |routes: &[Route], name: &String| {
            routes.iter().any(|route| route.model.as_str() == name)
        };
        if let Some(read) = read
            && read.at.elapsed() < MAX_AGE
            && wanted.iter().all(|name| is_known(&read.routes, name))
        {
            return Ok(read);
        }
        let at = Instant::now();
        let (mut routes, mut versions) = (Vec::new(), BTreeMap::new());
        for model in self.models.list(self.clock.now()).await? {
            let Registration { manifest, worker, .. } = model.registration;
            versions.insert(manifest.name.clone(), manifest.version);
            routes.push(Route { model: manifest.name, worker });
        }
        let read = Read { at, routes: routes.into(), versions: Arc::new(versions) };
        *self.read.lock().expect("nothing panics under this lock") = Some(read.clone());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, register};

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_read_each_second_and_what_is_not_at_once() {
        let fixture = Fixture::new().await;
        let platform = &fixture.platform;
        let routes = Routes::new(platform.models.clone(), platform.clock.clone());
        let worker_of = async |model: &str| {
            let known = routes.of(&[model.to_owned()]).await.unwrap();
            let route = known.iter().find(|route| route.model.as_str() == model);
            route.map(|route| route.worker.to_string())
        };
        assert_eq!(worker_of("cat").await.as_deref(), Some("cat"));
        register(platform, "cat", "1", "photo").await;
        assert_eq!(worker_of("cat").await.as_deref(), Some("cat"));
        assert_eq!(worker_of("bird").await, None);
        register(platform, "bird", "1", "bird").await;
        assert_eq!(worker_of("bird").await.as_deref(), Some("bird"));
        register(platform, "cat", "1", "other").await;
        assert_eq!(worker_of("cat").await.as_deref(), Some("photo"), "read with the bird");
        tokio::time::advance(MAX_AGE).await;
        assert_eq!(worker_of("cat").await.as_deref(), Some("other"));
    }
}
