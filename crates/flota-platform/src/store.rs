//! What an adapter for a whole mode is: each of `aws`, `embedded` and `memory` opens one of these.

use std::sync::Arc;

use flota_core::ports::{
    Aliases, Callbacks, DeadLetters, Images, Models, Predictions, Queue, Replays, Requests,
    Retention,
};

use crate::Staging;

/// Everything that is kept: the queues, the records, and the images that were uploaded to us.
#[derive(Clone)]
pub struct Store {
    /// The queues.
    pub queue: Arc<dyn Queue>,
    /// Requests, rounds and outcomes.
    pub requests: Arc<dyn Requests>,
    /// Predictions.
    pub predictions: Arc<dyn Predictions>,
    /// What objects of S3 contain.
    pub aliases: Arc<dyn Aliases>,
    /// Callbacks.
    pub callbacks: Arc<dyn Callbacks>,
    /// Dead letters.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Replays of dead letters.
    pub replays: Arc<dyn Replays>,
    /// Models and the workers that serve them.
    pub models: Arc<dyn Models>,
    /// Uploaded images, whose addresses begin with
    /// [`UPLOADED_PREFIX`](flota_core::ports::UPLOADED_PREFIX), and on AWS the objects of S3. Other
    /// addresses are refused here.
    pub images: Arc<dyn Images>,
    /// Deletion by age; `None` where the store does that by itself.
    pub retention: Option<Arc<dyn Retention>>,
    /// Uploaded images that are arriving.
    pub staging: Staging,
}
