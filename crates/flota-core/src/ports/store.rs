use std::sync::Arc;

use super::{
    Aliases, Callbacks, DeadLetters, Images, Models, Predictions, Queue, Replays, Requests,
    Retention,
};

/// The ports to stored data: queues, records and uploaded images. Each set of adapters (in memory,
/// embedded, AWS) opens one.
#[derive(Clone)]
pub struct Store {
    /// The queues.
    pub queue: Arc<dyn Queue>,
    /// Requests, rounds and outcomes.
    pub requests: Arc<dyn Requests>,
    /// Predictions.
    pub predictions: Arc<dyn Predictions>,
    /// The contents of S3 objects.
    pub aliases: Arc<dyn Aliases>,
    /// Callbacks.
    pub callbacks: Arc<dyn Callbacks>,
    /// Dead letters.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Replays of dead letters.
    pub replays: Arc<dyn Replays>,
    /// Models and the workers that serve them.
    pub models: Arc<dyn Models>,
    /// Uploaded images, whose URLs begin with [`UPLOADED_PREFIX`](super::UPLOADED_PREFIX), and on
    /// AWS objects of S3. Other URLs are rejected here.
    pub images: Arc<dyn Images>,
    /// Deletion by age; `None` if the store deletes by itself.
    pub retention: Option<Arc<dyn Retention>>,
}
