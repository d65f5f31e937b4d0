//! What an adapter for a whole mode is: each of `embedded` and `memory` opens one of these.

use std::sync::Arc;

use flota_core::ports::{Callbacks, DeadLetters, Images, Models, Predictions, Queue, Requests};

/// Everything that is kept: the queues, the records, and the images that were uploaded to us.
#[derive(Clone)]
pub struct Store {
    /// The queues.
    pub queue: Arc<dyn Queue>,
    /// Requests, rounds and outcomes.
    pub requests: Arc<dyn Requests>,
    /// Predictions.
    pub predictions: Arc<dyn Predictions>,
    /// Callbacks.
    pub callbacks: Arc<dyn Callbacks>,
    /// Dead letters.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Models and the workers that serve them.
    pub models: Arc<dyn Models>,
    /// Uploaded images: addresses other than
    /// [`UPLOADED_PREFIX`](flota_core::ports::UPLOADED_PREFIX) are refused here.
    pub images: Arc<dyn Images>,
}
