//! Two equal images in hand are computed once.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard},
};

use flota_core::{Code, Prediction, PredictionKey, Timings, ports::Retry};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// What came of computing one image.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    /// What the model says, or why it says nothing.
    pub(crate) result: Result<Arc<Prediction>, Failure>,
    /// Where the time went.
    pub(crate) timings: Timings,
}

/// Why a task has no prediction, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The stable code.
    pub(crate) code: Code,
    /// One safe sentence.
    pub(crate) message: String,
    /// Whether it is tried again.
    pub(crate) retry: Retry,
}

/// A computation that several tasks may wait for. It goes on while one of them does.
pub(crate) type Computation = Shared<BoxFuture<'static, Computed>>;

/// The computations that somebody still holds.
#[derive(Default)]
pub(crate) struct InHand {
    held: Mutex<HashMap<PredictionKey, WeakShared<BoxFuture<'static, Computed>>>>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: Retry::of(code) }
    }

    /// A failure in the words of `error`, which are safe; its cause goes to the log.
    pub(crate) fn logged(code: Code, error: &dyn Error) -> Self {
        if let Some(cause) = error.source() {
            tracing::info!(%code, cause, "{error}");
        }
        Self::new(code, error.to_string())
    }
}

impl InHand {
    /// The computation of `key`, if it is in hand.
    pub(crate) fn find(&self, key: &PredictionKey) -> Option<Computation> {
        self.held().get(key)?.upgrade()
    }

    /// Joins the computation of `key`, or begins it: then the answer is true.
    pub(crate) fn join(
        &self,
        key: &PredictionKey,
        begin: impl FnOnce() -> BoxFuture<'static, Computed>,
    ) -> (Computation, bool) {
        let mut held = self.held();
        if let Some(computation) = held.get(key).and_then(WeakShared::upgrade) {
            return (computation, false);
        }
        // Whatever nobody holds any more goes before the map has to grow, so that it stays within
        // twice of what was ever in hand at once.
        if held.len() == held.capacity() {
            held.retain(|_, computation| computation.upgrade().is_some());
        }
        let computation = begin().shared();
        if let Some(weak) = computation.downgrade() {
            held.insert(key.clone(), weak);
        }
        (computation, true)
    }

    fn held(
        &self,
    ) -> MutexGuard<'_, HashMap<PredictionKey, WeakShared<BoxFuture<'static, Computed>>>> {
        self.held.lock().expect("nothing panics under this lock")
    }
}
