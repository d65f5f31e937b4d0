use std::{env, sync::Arc};

use flota_core::ports::Clock;

use super::{
    aliases::MemoryAliases, dead_letters::MemoryDeadLetters, images::MemoryImages,
    models::MemoryModels, predictions::MemoryPredictions, queue::MemoryQueue,
    replays::MemoryReplays, requests::MemoryRequests,
};
use crate::{Staging, Store};

/// An empty store that lives as long as it is held; each call makes another.
///
/// Leases and delays run on `clock`, waiting receives on tokio's time: give it a
/// [`SeededClock`](super::SeededClock) where that is paused.
pub fn open(clock: Arc<dyn Clock>) -> Store {
    let requests = Arc::new(MemoryRequests::default());
    Store {
        queue: Arc::new(MemoryQueue::new(clock)),
        requests: requests.clone(),
        predictions: Arc::new(MemoryPredictions::default()),
        aliases: Arc::new(MemoryAliases::default()),
        callbacks: requests,
        dead_letters: Arc::new(MemoryDeadLetters::default()),
        replays: Arc::new(MemoryReplays::default()),
        models: Arc::new(MemoryModels::default()),
        images: Arc::new(MemoryImages::default()),
        staging: Staging::new(env::temp_dir()),
    }
}
