use std::sync::Arc;

use super::{
    Aliases, Callbacks, DeadLetters, Images, Models, Predictions, Queue, Replays, Requests,
    Retention,
};

/// Every port to stored data: queues, records, and the images that were uploaded to us. Each set of adapters (in
/// memory, embedded, AWS) opens one.
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
    /// [`UPLOADED_PREFIX`](super::UPLOADED_PREFIX), and on AWS the objects of S3. Other
    /// addresses are refused here.
    pub images: Arc<dyn Images>,
    /// Deletion by age; `None` where the store does that by itself.
    pub retention: Option<Arc<dyn Retention>>,
}
