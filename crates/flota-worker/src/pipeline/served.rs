//! A model that the worker serves, from a prepared image to a prediction.

use std::{sync::Arc, time::Duration};

use flota_core::{
    Code, ImageFacts, Output, Prediction, PredictionKey, Sha256, Timings, ports::Clock,
};
use flota_engine::{Model, Tensor};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    batch::{Inferred, Item},
    gate::Pass,
    in_hand::{Computed, Failure},
};
use crate::metrics;

/// A model that the worker serves.
pub(crate) struct Served {
    pub(crate) model: Arc<Model>,
    /// How often a task is begun at most.
    pub(crate) attempts: u32,
    /// To its batcher.
    pub(crate) items: mpsc::Sender<Item>,
}

/// An image that was decoded and prepared for one model.
pub(crate) struct Prepared {
    pub(crate) tensor: Tensor,
    pub(crate) facts: ImageFacts,
    /// How long decoding and preparing took.
    pub(crate) took: Duration,
    /// The right to infer.
    pub(crate) pass: Pass,
    /// Its place among the images that are fetched, until it has one in a batch.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

impl Served {
    /// What names the prediction of an image.
    pub(crate) fn key(&self, sha256: Sha256) -> PredictionKey {
        let manifest = self.model.manifest();
        PredictionKey { sha256, model: manifest.name.clone(), version: manifest.version.clone() }
    }

    /// Has the model look at an image once it is prepared.
    pub(crate) async fn look(
        self: Arc<Self>,
        key: PredictionKey,
        prepared: oneshot::Receiver<Result<Prepared, Failure>>,
        clock: Arc<dyn Clock>,
    ) -> Computed {
        let mut timings = Timings::default();
        let result = match prepared.await {
            Ok(Ok(prepared)) => self.infer(key, prepared, clock.as_ref(), &mut timings).await,
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(gone()),
        };
        Computed { result, timings }
    }

    async fn infer(
        &self,
        key: PredictionKey,
        prepared: Prepared,
        clock: &dyn Clock,
        timings: &mut Timings,
    ) -> Result<Arc<Prediction>, Failure> {
        let Prepared { tensor, facts, took, pass, place } = prepared;
        timings.decode_ms = Some(metrics::milliseconds(took));
        let (reply, answer) = oneshot::channel();
        let item = Item { sha256: key.sha256, tensor, pass, reply };
        self.items.send(item).await.map_err(|_| gone())?;
        drop(place);
        let Inferred { result, took, batch_size } = answer.await.map_err(|_| gone())?;
        timings.infer_ms = Some(metrics::milliseconds(took));
        timings.batch_size = u32::try_from(batch_size).ok();
        let output = within_size(result?)?;
        Ok(Arc::new(Prediction { key, output, image: facts, computed_at: clock.now() }))
    }
}

fn gone() -> Failure {
    Failure::new(Code::InferFailed, "the model ended without an answer")
}

fn within_size(output: Output) -> Result<Output, Failure> {
    match output.check_size() {
        Ok(()) => Ok(output),
        Err(error) => Err(Failure::new(Code::PredictionTooLarge, error.to_string())),
    }
}
