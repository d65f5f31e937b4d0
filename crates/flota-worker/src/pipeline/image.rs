//! Tasks of one image: it is fetched and decoded once, and the model of each looks at it.

use std::sync::Arc;

use flota_core::{Alias, PortResult, Sha256, TaskMessage, ports::UPLOADED_PREFIX};
use futures::{FutureExt, future::join_all};
use tokio::sync::oneshot;

use super::{
    compute::{Fetched, Wanting},
    end::End,
    gate::Pass,
    handler::Pipeline,
    in_hand::Computation,
    served::Served,
    task::{Begun, Received},
};
use crate::metrics;

/// A begun task, its model, and what answers it as soon as that is found.
pub(crate) struct Look<'a> {
    pub(crate) begun: Begun<'a>,
    pub(crate) served: &'a Arc<Served>,
    pub(crate) found: Option<Found>,
}

/// What answers a task.
pub(crate) enum Found {
    /// It needs no computation, or cannot have one.
    End(End),
    /// A computation that was begun for it.
    Own(Computation),
    /// A computation that was begun for an equal image, which costs this task no time of its own.
    Others(Computation),
}

impl<'a> Look<'a> {
    pub(crate) fn new(begun: Begun<'a>, served: &'a Arc<Served>) -> Self {
        Self { begun, served, found: None }
    }
}

impl Pipeline {
    /// Runs ordinary tasks, all of one image, beside others.
    ///
    /// # Errors
    /// If nobody can say who serves a model that this worker does not.
    pub(crate) async fn run_image(
        &self,
        tasks: &[TaskMessage],
        received: &Received,
    ) -> PortResult<Vec<End>> {
        let (mut looks, mut ends) = (Vec::new(), Vec::new());
        for task in tasks {
            match self.served.get(&task.model) {
                Some(served) => {
                    let begun = Begun::new(task, received, task.tries + 1, served.attempts);
                    looks.push(Look::new(begun, served));
                }
                None => ends.push(self.end_elsewhere(task, received).await?),
            }
        }
        if let Some(image) = self.obtain(&mut looks).await {
            self.look_together(&mut looks, image);
        }
        ends.extend(join_all(looks.into_iter().map(|look| self.end_look(look))).await);
        Ok(ends)
    }

    /// Gets the image of `looks`, unless all of them find what answers them before.
    pub(crate) async fn obtain(&self, looks: &mut [Look<'_>]) -> Option<Fetched> {
        let first = &looks.first()?.begun;
        let (address, lease) = (first.task.image.as_str(), &first.received.lease);
        let named = address.strip_prefix(UPLOADED_PREFIX).and_then(|hash| hash.parse().ok());
        let object = self.known.object(address);
        let aliased = match &object {
            Some(object) => self.known.content(object).await,
            None => None,
        };
        let expected = match named.or(aliased) {
            Some(sha256) => Some(sha256),
            None => self.known.checksum(address).await,
        };
        let alias = |sha256| object.clone().map(|object| Alias { object, sha256 });
        if let Some(sha256) = expected {
            let learned = if aliased.is_none() { alias(sha256) } else { None };
            looks.iter_mut().for_each(|look| look.begun.alias.clone_from(&learned));
            self.find(looks, sha256).await;
        }
        open(looks).next()?;
        let entered = self.compute.enter(address).await;
        if lease.stopping() {
            open(looks).for_each(|look| look.end(End::NotBegun(look.begun.task.clone())));
            return None;
        }
        let limits = open(looks).map(|look| look.served.model.manifest().limits.max_bytes);
        let max_bytes = limits.max().unwrap_or_default();
        let fetched = match entered {
            Ok(right) => self.compute.fetch(address, named, max_bytes, right).await,
            Err(failure) => Err(failure),
        };
        let image = match fetched {
            Ok(image) => image,
            Err(failure) => {
                for look in open(looks) {
                    look.end(self.end_failed(&look.begun, failure.clone()));
                }
                return None;
            }
        };
        let fetch_ms = Some(metrics::milliseconds(image.took));
        open(looks).for_each(|look| look.begun.timings.fetch_ms = fetch_ms);
        if expected != Some(image.sha256) {
            let learned = alias(image.sha256);
            open(looks).for_each(|look| look.begun.alias.clone_from(&learned));
            self.find(looks, image.sha256).await;
        }
        open(looks).next().map(|_| image)
    }

    /// Finds the computations and the predictions of an image that are there already.
    async fn find(&self, looks: &mut [Look<'_>], sha256: Sha256) {
        let find = async |look: &mut Look<'_>| {
            let key = look.served.key(sha256);
            look.found = match self.in_hand.find(&key) {
                Some(computation) => {
                    // Somebody must drive it while this task's mates wait for the image.
                    tokio::spawn(computation.clone());
                    Some(Found::Others(computation))
                }
                None => {
                    let known = self.known.prediction(&key).await;
                    known.map(|prediction| Found::End(self.end_known(&look.begun, prediction)))
                }
            };
        };
        join_all(open(looks).map(find)).await;
    }

    /// Begins the computations of the open `looks`, which share one decode.
    fn look_together(&self, looks: &mut [Look<'_>], image: Fetched) {
        let mut wanting = Vec::new();
        for look in open(looks) {
            let served = look.served;
            let key = served.key(image.sha256);
            let (computation, is_first) = self.in_hand.join(&key, || {
                let (reply, prepared) = oneshot::channel();
                wanting.push(Wanting { served: Arc::clone(served), reply });
                let clock = Arc::clone(&self.platform.clock);
                Arc::clone(served).look(key.clone(), prepared, clock).boxed()
            });
            let found = if is_first { Found::Own } else { Found::Others };
            look.found = Some(found(computation));
        }
        if wanting.is_empty() {
            return;
        }
        let (compute, gate) = (Arc::clone(&self.compute), self.gate.clone());
        tokio::spawn(async move {
            let pass = tokio::select! {
                pass = gate.together() => pass,
                () = Wanting::gone(&mut wanting) => return,
            };
            compute.prepare(image, wanting, pass).await;
        });
    }

    /// Has the models of the open `looks` look at an image that no task but theirs shares.
    pub(crate) async fn look_alone(&self, looks: &mut [Look<'_>], image: Fetched, pass: Pass) {
        let mut wanting = Vec::new();
        for look in open(looks) {
            let (reply, prepared) = oneshot::channel();
            let served = Arc::clone(look.served);
            let (key, clock) = (served.key(image.sha256), Arc::clone(&self.platform.clock));
            let computation = Arc::clone(&served).look(key, prepared, clock).boxed().shared();
            look.found = Some(Found::Own(computation));
            wanting.push(Wanting { served, reply });
        }
        self.compute.prepare(image, wanting, pass).await;
    }

    /// Waits for what answers a task.
    pub(crate) async fn end_look(&self, look: Look<'_>) -> End {
        let Look { mut begun, found, .. } = look;
        let found = found.expect("an image that was obtained is looked at");
        let (computation, cached) = match found {
            Found::End(end) => return end,
            Found::Own(computation) => (computation, false),
            Found::Others(computation) => (computation, true),
        };
        let held = computation.clone();
        let computed = computation.await;
        if cached {
            metrics::duplicate();
        } else {
            begun.spent(&computed.timings);
        }
        self.end(&begun, computed, cached).holding(held)
    }
}

impl Look<'_> {
    fn end(&mut self, end: End) {
        self.found = Some(Found::End(end));
    }
}

/// Those that nothing answers yet.
pub(crate) fn open<'l, 'a>(looks: &'l mut [Look<'a>]) -> impl Iterator<Item = &'l mut Look<'a>> {
    looks.iter_mut().filter(|look| look.found.is_none())
}
