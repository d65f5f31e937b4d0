use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use flota_core::ports::{Clock, Store};

use super::{
    OpenError, aliases::EmbeddedAliases, callbacks::EmbeddedCallbacks, database::Database,
    dead_letters::EmbeddedDeadLetters, images::EmbeddedImages, models::EmbeddedModels,
    notify::Notifiers, predictions::EmbeddedPredictions, queue::EmbeddedQueue,
    replays::EmbeddedReplays, requests::EmbeddedRequests, retention::EmbeddedRetention, schema,
};
use crate::create_private_dir;

/// Opens the store in `data_dir`, or makes it. Other processes may have it open too. It blocks
/// for some milliseconds, so call it at start.
///
/// # Errors
/// If the folder cannot be used, or a later program wrote it.
pub fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    create_private_dir(data_dir).map_err(|source| OpenError::folder(data_dir, source))?;
    let _one_at_a_time = lock(&data_dir.join("open.lock"))?;
    // Two files, so that a heartbeat never waits for a record.
    let database = |name: &str| {
        let path = data_dir.join(name);
        create_private_file(&path).map_err(|source| OpenError::folder(&path, source))?;
        Ok::<_, OpenError>(path)
    };
    let queue = Arc::new(Database::open(&database("queue.sqlite")?, &schema::QUEUE)?);
    let records = Arc::new(Database::open(&database("records.sqlite")?, &schema::RECORDS)?);
    let notifiers = Notifiers::open(data_dir.join("wake"))?;
    let images_dir = data_dir.join("images");
    let images = EmbeddedImages::open(images_dir.clone(), clock.clone())?;
    let retention = EmbeddedRetention {
        queue: queue.clone(),
        records: records.clone(),
        images: images_dir,
        clock: clock.clone(),
    };
    Ok(Store {
        queue: Arc::new(EmbeddedQueue::new(queue, notifiers, clock.clone())),
        requests: Arc::new(EmbeddedRequests::new(records.clone())),
        predictions: Arc::new(EmbeddedPredictions::new(records.clone(), clock)),
        aliases: Arc::new(EmbeddedAliases::new(records.clone())),
        callbacks: Arc::new(EmbeddedCallbacks::new(records.clone())),
        dead_letters: Arc::new(EmbeddedDeadLetters::new(records.clone())),
        replays: Arc::new(EmbeddedReplays::new(records.clone())),
        models: Arc::new(EmbeddedModels::new(records)),
        images: Arc::new(images),
        retention: Some(Arc::new(retention)),
    })
}

/// Holds back other processes that open the folder; they would find SQLite's file half-made.
fn lock(path: &Path) -> Result<File, OpenError> {
    let open = || {
        let file = create_private_file(path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|source| OpenError::folder(path, source))
}

/// Makes a file for its owner alone, and makes one of an earlier version so. What SQLite writes beside
/// its file has the same permissions.
fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // It fails for another user, who may open it only where its owner allows that.
    let _ = file.set_permissions(Permissions::from_mode(0o600));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use flota_core::QueueNames;
    use walkdir::WalkDir;

    use super::*;
    use crate::SystemClock;

    #[tokio::test]
    async fn only_the_owner_may_read_what_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("new/data");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for _ in 0..2 {
            let store = open(&data_dir, Arc::new(SystemClock)).unwrap();
            store.images.put(b"image".as_slice().into()).await.unwrap();
            store.queue.depth(&QueueNames::new("flota").outcomes()).await.unwrap();
            let paths = WalkDir::new(&data_dir).into_iter().map(|entry| entry.unwrap().into_path());
            let paths: Vec<PathBuf> = paths.collect();
            assert!(paths.len() > 6, "{paths:?}");
            for path in paths {
                let wanted = if path.is_dir() { 0o700 } else { 0o600 };
                assert_eq!(mode(&path), wanted, "{}", path.display());
            }
            drop(store);
            let database = data_dir.join("queue.sqlite");
            fs::set_permissions(database, Permissions::from_mode(0o644)).unwrap();
        }
    }
}
