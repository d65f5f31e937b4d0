use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use flota_core::{PortError, PortResult, QueueName};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tracing::warn;

use super::OpenError;
use crate::create_private_dir;

type Senders = HashMap<String, watch::Sender<()>>;

/// Notifiers receivers that wait, in this process and in others: one empty file per queue, touched
/// after a commit and watched by every process. A wake that is lost costs a second.
pub(super) struct Notifiers {
    folder: PathBuf,
    files: Mutex<HashMap<String, Arc<File>>>,
    senders: Arc<Mutex<Senders>>,
    _watcher: Option<RecommendedWatcher>,
}

impl Notifiers {
    /// Begins to watch `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub(super) fn open(folder: PathBuf) -> Result<Self, OpenError> {
        create_private_dir(&folder).map_err(|source| OpenError::folder(&folder, source))?;
        let senders = Arc::<Mutex<Senders>>::default();
        let watcher = watch_folder(&folder, senders.clone());
        if let Err(error) = &watcher {
            warn!(%error, "the data folder cannot be watched, waiting receivers wake each second");
        }
        Ok(Self { folder, files: Mutex::default(), senders, _watcher: watcher.ok() })
    }

    /// Hears of what is woken from now on.
    pub(super) fn listen(&self, queue: &QueueName) -> watch::Receiver<()> {
        lock(&self.senders).entry(queue.as_str().to_owned()).or_default().subscribe()
    }

    /// Opens the queue's file, so that waking cannot fail later.
    pub(super) fn prepare(&self, queue: &QueueName) -> PortResult<Wake> {
        let mut files = lock(&self.files);
        let file = match files.get(queue.as_str()) {
            Some(file) => file.clone(),
            None => {
                let file = File::options()
                    .mode(0o600)
                    .create(true)
                    .append(true)
                    .open(self.folder.join(queue.as_str()))
                    .map_err(|error| PortError::permanent("opening a queue's wake file", error))?;
                let file = Arc::new(file);
                files.insert(queue.as_str().to_owned(), file.clone());
                file
            }
        };
        let sender = lock(&self.senders).entry(queue.as_str().to_owned()).or_default().clone();
        Ok(Wake { file, sender })
    }
}

/// Notifiers the receivers of one queue.
pub(super) struct Wake {
    file: Arc<File>,
    sender: watch::Sender<()>,
}

impl Wake {
    /// Notifiers those who wait.
    pub(super) fn ring(&self) {
        self.sender.send_replace(());
        if let Err(error) = self.file.set_modified(SystemTime::now()) {
            warn!(%error, "a queue's wake file cannot be touched, receivers wake each second");
        }
    }
}

fn watch_folder(folder: &Path, senders: Arc<Mutex<Senders>>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        if event.kind.is_access() {
            return;
        }
        let senders = lock(&senders);
        for name in event.paths.iter().filter_map(|path| path.file_name()?.to_str()) {
            if let Some(sender) = senders.get(name) {
                sender.send_replace(());
            }
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under this lock")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_ring_is_heard_through_the_folder_alone() {
        let worker = "cat".parse().unwrap();
        let queue =
            flota_core::QueueNames::new("flota").tasks(&worker, flota_core::Priority::Normal);
        let folder = tempfile::TempDir::new().unwrap();
        let open = || Notifiers::open(folder.path().join("wake")).unwrap();
        let (listening, ringing) = (open(), open());
        let mut woken = listening.listen(&queue);
        for _ in 0..3 {
            // Making the file may wake too, so that only what comes after counts.
            let wake = ringing.prepare(&queue).unwrap();
            woken.mark_unchanged();
            wake.ring();
            let heard = tokio::time::timeout(Duration::from_secs(60), woken.changed()).await;
            heard.expect("nothing was heard through the folder").unwrap();
        }
    }
}
