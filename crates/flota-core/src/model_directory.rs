//! The registered models, their versions, and the workers that serve them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    ModelName, ModelVersion, PortResult, Route, WorkerName,
    limits::MAX_MESSAGE_AGE,
    ports::{Clock, Models, RegisteredModel},
};

/// How long a read is reused. If a model moves to another worker meanwhile, its tasks are rerouted.
const MAX_AGE: Duration = Duration::from_secs(1);

/// A cache of the registered models. It reads the store at most once a second, except for names
/// that it does not know and for [`known_now`](Self::known_now).
pub struct ModelDirectory {
    models: Arc<dyn Models>,
    clock: Arc<dyn Clock>,
    cached: Mutex<Cached>,
    /// Held during a read of the store. Callers that wait for it share the next read.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Cached {
    read: Option<Read>,
    /// The number of reads that have begun.
    begun_count: u64,
}

struct Read {
    /// The number of this read.
    number: u64,
    begun_at: Instant,
    /// An error, too, is for all who waited for the read, or each of them would wait for one of its own.
    known: PortResult<KnownModels>,
}

/// The models that were registered at one moment, each in its current version.
#[derive(Debug, Clone, Default)]
pub struct KnownModels(Arc<BTreeMap<ModelName, RegisteredModel>>);

impl ModelDirectory {
    /// A directory of the models in `models`.
    pub fn new(models: Arc<dyn Models>, clock: Arc<dyn Clock>) -> Self {
        Self { models, clock, cached: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The models, as of at most a second ago.
    ///
    /// # Errors
    /// If the store cannot be read, as for all methods.
    pub async fn known(&self) -> PortResult<KnownModels> {
        self.read(|_| true).await
    }

    /// Like [`known`](Self::known), but reads the store if one of `names` is not cached.
    pub async fn knowing<N: AsRef<str>>(&self, names: &[N]) -> PortResult<KnownModels> {
        self.read(|known| names.iter().all(|name| known.named(name.as_ref()).is_some())).await
    }

    /// The current version of `model`. Reads the store if it is not cached.
    pub async fn get(&self, model: &ModelName) -> PortResult<Option<RegisteredModel>> {
        Ok(self.knowing(&[model.as_str()]).await?.get(model).cloned())
    }

    /// The models as of now, read from the store.
    pub async fn known_now(&self) -> PortResult<KnownModels> {
        self.read(|_| false).await
    }

    /// Returns the cached models if they are recent and `is_enough` accepts them, else those of a
    /// read that begins after this call.
    async fn read(&self, is_enough: impl Fn(&KnownModels) -> bool) -> PortResult<KnownModels> {
        let reusable = |read: &&Read| {
            read.begun_at.elapsed() < MAX_AGE && read.known.as_ref().is_ok_and(&is_enough)
        };
        let begun_before = {
            let cached = self.cached();
            if let Some(read) = cached.read.as_ref().filter(reusable) {
                return read.known.clone();
            }
            cached.begun_count
        };
        let _turn = self.turn.lock().await;
        let number = {
            let mut cached = self.cached();
            let shared = |read: &&Read| read.number > begun_before || reusable(read);
            if let Some(read) = cached.read.as_ref().filter(shared) {
                return read.known.clone();
            }
            cached.begun_count += 1;
            cached.begun_count
        };
        let begun_at = Instant::now();
        let known = self.models.list(self.clock.now()).await.map(KnownModels::from);
        self.cached().read = Some(Read { number, begun_at, known: known.clone() });
        known
    }

    fn cached(&self) -> MutexGuard<'_, Cached> {
        self.cached.lock().expect("nothing panics under this lock")
    }
}

impl KnownModels {
    /// The model with this name.
    pub fn get(&self, model: &ModelName) -> Option<&RegisteredModel> {
        self.0.get(model)
    }

    /// The worker that serves `model`.
    pub fn worker(&self, model: &ModelName) -> Option<&WorkerName> {
        Some(&self.get(model)?.registration.worker)
    }

    /// The current version of `model`.
    pub fn version(&self, model: &ModelName) -> Option<&ModelVersion> {
        Some(&self.get(model)?.registration.manifest.version)
    }

    /// All models, by name.
    pub fn iter(&self) -> impl Iterator<Item = &RegisteredModel> {
        self.0.values()
    }

    /// Each model with the worker that serves it.
    pub fn routes(&self) -> Vec<Route> {
        let route = |(model, known): (&ModelName, &RegisteredModel)| Route {
            model: model.clone(),
            worker: known.registration.worker.clone(),
        };
        self.0.iter().map(route).collect()
    }

    /// All workers that serve a model or did: their queues may hold tasks.
    pub fn workers(&self) -> BTreeSet<&WorkerName> {
        self.iter().flat_map(|model| model.registration.workers()).collect()
    }

    /// The workers that serve no model any more, but whose queues may still hold messages at `now`,
    /// because the messages have not reached their maximum age.
    pub fn former_workers(&self, now: Timestamp) -> BTreeSet<&WorkerName> {
        let serving: BTreeSet<_> = self.iter().map(|model| &model.registration.worker).collect();
        let former = self.iter().flat_map(|model| &model.registration.former_workers);
        let may_hold = |until: Timestamp| now.duration_since(until) < MAX_MESSAGE_AGE;
        former
            .filter(|(worker, until)| may_hold(**until) && !serving.contains(worker))
            .map(|(worker, _)| worker)
            .collect()
    }

    fn named(&self, name: &str) -> Option<&RegisteredModel> {
        self.get(&name.parse().ok()?)
    }
}

impl From<Vec<RegisteredModel>> for KnownModels {
    fn from(models: Vec<RegisteredModel>) -> Self {
        let named = |model: RegisteredModel| (model.registration.manifest.name.clone(), model);
        Self(Arc::new(models.into_iter().map(named).collect()))
    }
}
