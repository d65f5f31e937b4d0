use std::sync::{Arc, Mutex};

use flota_core::ports::{Clock, Store};

use crate::{
    images::MemoryImages, models::MemoryModels, predictions::MemoryPredictions, queue::MemoryQueue,
    retention::MemoryRetention,
};

/// An empty store that lives as long as it is held; each call makes another.
///
/// Leases and delays run on `clock`, waiting receives on tokio's time: give it a
/// [`SeededClock`](crate::SeededClock) where that is paused.
pub fn open(clock: Arc<dyn Clock>) -> Store {
    let retention = Arc::new(MemoryRetention {
        believed_at: Mutex::default(),
        queue: Arc::new(MemoryQueue::new(clock.clone())),
        requests: Arc::default(),
        predictions: Arc::new(MemoryPredictions::new(clock.clone())),
        aliases: Arc::default(),
        dead_letters: Arc::default(),
        replays: Arc::default(),
        images: Arc::new(MemoryImages::new(clock.clone())),
        clock,
    });
    Store {
        queue: retention.queue.clone(),
        requests: retention.requests.clone(),
        predictions: retention.predictions.clone(),
        aliases: retention.aliases.clone(),
        callbacks: retention.requests.clone(),
        dead_letters: retention.dead_letters.clone(),
        replays: retention.replays.clone(),
        models: Arc::new(MemoryModels::default()),
        images: retention.images.clone(),
        retention: Some(retention),
    }
}
