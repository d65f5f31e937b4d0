use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use flota_core::ports::Clock;

use super::{
    OpenError, aliases::EmbeddedAliases, callbacks::EmbeddedCallbacks, database::Database,
    dead_letters::EmbeddedDeadLetters, images::EmbeddedImages, models::EmbeddedModels,
    predictions::EmbeddedPredictions, queue::EmbeddedQueue, replays::EmbeddedReplays,
    requests::EmbeddedRequests, schema, wakes::Wakes,
};
use crate::Store;

/// Opens the store in `data_dir`, or makes it. Other processes may have it open too. It blocks
/// for some milliseconds, so call it at start.
///
/// # Errors
/// If the folder cannot be used, or a later program wrote it.
pub fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    fs::create_dir_all(data_dir).map_err(|source| OpenError::folder(data_dir, source))?;
    let _one_at_a_time = lock(&data_dir.join("open.lock"))?;
    // Two files, so that a heartbeat never waits for a record.
    let queue = Database::open(&data_dir.join("queue.sqlite"), &schema::QUEUE)?;
    let records = Arc::new(Database::open(&data_dir.join("records.sqlite"), &schema::RECORDS)?);
    let wakes = Wakes::open(data_dir.join("wake"))?;
    let images = EmbeddedImages::open(data_dir.join("images"))?;
    Ok(Store {
        queue: Arc::new(EmbeddedQueue::new(queue, wakes, clock)),
        requests: Arc::new(EmbeddedRequests::new(records.clone())),
        predictions: Arc::new(EmbeddedPredictions::new(records.clone())),
        aliases: Arc::new(EmbeddedAliases::new(records.clone())),
        callbacks: Arc::new(EmbeddedCallbacks::new(records.clone())),
        dead_letters: Arc::new(EmbeddedDeadLetters::new(records.clone())),
        replays: Arc::new(EmbeddedReplays::new(records.clone())),
        models: Arc::new(EmbeddedModels::new(records)),
        images: Arc::new(images),
    })
}

/// Holds back other processes that open the folder; they would find SQLite's file half-made.
fn lock(path: &Path) -> Result<File, OpenError> {
    let open = || {
        let file = File::create(path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|source| OpenError::folder(path, source))
}
