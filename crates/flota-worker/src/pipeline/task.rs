//! One task, from its message to the computation that answers it.

use std::sync::Arc;

use flota_core::{
    Alias, Code, PredictionKey, Sha256, TaskMessage, TasksMessage, Timings, consume::Lease,
    ports::UPLOADED_PREFIX,
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    compute::Fetched,
    end::End,
    handler::Pipeline,
    in_hand::{Computation, Computed, Failure},
};
use crate::metrics;

/// A message in hand.
pub(crate) struct Received {
    /// What it says.
    pub(crate) message: TasksMessage,
    /// The lease on it.
    pub(crate) lease: Lease,
    /// From its sending to its receipt, in milliseconds.
    pub(crate) queued_ms: f64,
}

/// A task that is begun, and what is known of it so far.
pub(crate) struct Begun<'a> {
    /// The task.
    pub(crate) task: &'a TaskMessage,
    /// The message that it came with.
    pub(crate) received: &'a Received,
    /// How often it was begun, this time included.
    pub(crate) attempts: u32,
    /// Where its time went.
    pub(crate) timings: Timings,
    /// What its object was found to contain, if that was not known.
    pub(crate) alias: Option<Alias>,
}

/// What an image's address leads to, where it leads on.
pub(crate) enum Obtained {
    /// An equal image is in hand.
    InHand(Computation),
    /// Here it is.
    Fetched(Fetched),
}

impl<'a> Begun<'a> {
    /// A task that is begun for the `attempts`th time.
    pub(crate) fn new(task: &'a TaskMessage, received: &'a Received, attempts: u32) -> Self {
        let timings = Timings { queued_ms: Some(received.queued_ms), ..Timings::default() };
        Self { task, received, attempts, timings, alias: None }
    }

    /// Adds the time of what was computed for it.
    pub(crate) fn spent(&mut self, computing: &Timings) {
        let Timings { queued_ms, fetch_ms, .. } = self.timings;
        self.timings = Timings { queued_ms, fetch_ms, ..computing.clone() };
    }
}

impl Pipeline {
    /// Runs an ordinary task beside others.
    pub(crate) async fn run(&self, task: &TaskMessage, received: &Received) -> End {
        let mut begun = Begun::new(task, received, task.tries + 1);
        let image = match self.obtain(&mut begun).await {
            Err(end) => return end,
            Ok(Obtained::InHand(computation)) => return self.join(&begun, computation).await,
            Ok(Obtained::Fetched(image)) => image,
        };
        let key = self.key(image.sha256);
        let (computation, is_first) = self.in_hand.join(&key, || self.begin(key.clone(), image));
        if !is_first {
            return self.join(&begun, computation).await;
        }
        let held = computation.clone();
        let computed = computation.await;
        begun.spent(&computed.timings);
        self.end(&begun, computed, false).holding(held)
    }

    /// Waits for the computation of an equal image, which costs this task no time of its own.
    pub(crate) async fn join(&self, begun: &Begun<'_>, computation: Computation) -> End {
        metrics::duplicate();
        let held = computation.clone();
        let computed = computation.await;
        self.end(begun, computed, true).holding(held)
    }

    /// Gets the task's image, unless the task ends before.
    pub(crate) async fn obtain(&self, begun: &mut Begun<'_>) -> Result<Obtained, End> {
        let TaskMessage { image: address, model, .. } = begun.task;
        if *model != self.served.model {
            let message = format!("this worker does not serve the model `{model}`");
            return Err(self.end_failed(begun, Failure::new(Code::ModelNotServed, message)));
        }
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
        begun.alias = expected.filter(|_| aliased.is_none()).and_then(alias);
        if let Some(sha256) = expected
            && let Some(computation) = self.find(begun, sha256).await?
        {
            return Ok(Obtained::InHand(computation));
        }
        let place = self.compute.place().await;
        if begun.received.lease.stopping() {
            return Err(End::NotBegun(begun.task.clone()));
        }
        let image = match self.compute.fetch(address, named, place).await {
            Ok(image) => image,
            Err(failure) => return Err(self.end_failed(begun, failure)),
        };
        begun.timings.fetch_ms = Some(metrics::milliseconds(image.took));
        if expected == Some(image.sha256) {
            return Ok(Obtained::Fetched(image));
        }
        begun.alias = alias(image.sha256);
        if let Some(computation) = self.find(begun, image.sha256).await? {
            return Ok(Obtained::InHand(computation));
        }
        Ok(Obtained::Fetched(image))
    }

    /// Finds the computation of an image, if it is in hand. Where its prediction is known the task
    /// ends.
    async fn find(&self, begun: &Begun<'_>, sha256: Sha256) -> Result<Option<Computation>, End> {
        let key = self.key(sha256);
        if let Some(computation) = self.in_hand.find(&key) {
            return Ok(Some(computation));
        }
        match self.known.prediction(&key).await {
            Some(prediction) => Err(self.end_known(begun, prediction)),
            None => Ok(None),
        }
    }

    fn begin(&self, key: PredictionKey, image: Fetched) -> BoxFuture<'static, Computed> {
        let (compute, gate) = (Arc::clone(&self.compute), self.gate.clone());
        async move {
            let pass = gate.together().await;
            compute.look(key, image, pass).await
        }
        .boxed()
    }

    /// What names the prediction of an image.
    pub(crate) fn key(&self, sha256: Sha256) -> PredictionKey {
        let (model, version) = (self.served.model.clone(), self.served.version.clone());
        PredictionKey { sha256, model, version }
    }
}
