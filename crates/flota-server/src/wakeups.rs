//! What is rung within the process when a round finishes, so that nobody has to poll for it.

use std::{
    collections::HashMap,
    future,
    sync::{Mutex, MutexGuard},
};

use flota_core::RequestId;
use tokio::sync::{Notify, watch};

/// Most requests that are waited for with a bell; further waits look again now and then only.
const MAX_BELLS: usize = 10_000;

/// Bells between the roles of one process. Other processes find out by looking.
#[derive(Default)]
pub(crate) struct Wakeups {
    callbacks: Notify,
    replays: Notify,
    finished: Mutex<HashMap<RequestId, watch::Sender<()>>>,
}

/// A wait for one request. It ends its bell when nobody else waits for it.
pub(crate) struct FinishedBell<'a> {
    wakeups: &'a Wakeups,
    id: RequestId,
    rung: Option<watch::Receiver<()>>,
}

impl Wakeups {
    /// Tells the notifier that a callback is due.
    pub(crate) fn callback_due(&self) {
        self.callbacks.notify_one();
    }

    /// Ends when a callback became due since it last ended.
    pub(crate) async fn until_callback_due(&self) {
        self.callbacks.notified().await;
    }

    /// Tells the replayer that a replay was started.
    pub(crate) fn replay_started(&self) {
        self.replays.notify_one();
    }

    /// Ends when a replay was started since it last ended.
    pub(crate) async fn until_replay_started(&self) {
        self.replays.notified().await;
    }

    /// Tells all who wait that a round of `id` is finished.
    pub(crate) fn request_finished(&self, id: RequestId) {
        if let Some(bell) = self.finished().remove(&id) {
            bell.send_replace(());
        }
    }

    /// A bell that rings once, when a round of `id` finishes from now on.
    pub(crate) fn bell(&self, id: RequestId) -> FinishedBell<'_> {
        let mut finished = self.finished();
        let has_room = finished.len() < MAX_BELLS || finished.contains_key(&id);
        let rung = has_room
            .then(|| finished.entry(id).or_insert_with(|| watch::Sender::new(())).subscribe());
        FinishedBell { wakeups: self, id, rung }
    }

    fn finished(&self) -> MutexGuard<'_, HashMap<RequestId, watch::Sender<()>>> {
        self.finished.lock().expect("nothing panics under this lock")
    }
}

impl FinishedBell<'_> {
    /// Ends when the bell rings; never where there are too many bells.
    pub(crate) async fn rung(&mut self) {
        match &mut self.rung {
            // The bell is gone once it was rung.
            Some(rung) => drop(rung.changed().await),
            None => future::pending().await,
        }
    }
}

impl Drop for FinishedBell<'_> {
    fn drop(&mut self) {
        self.rung = None;
        let mut finished = self.wakeups.finished();
        if finished.get(&self.id).is_some_and(|bell| bell.receiver_count() == 0) {
            finished.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_rings_for_all_who_wait_and_leaves_nothing_behind() {
        let (wakeups, id) = (Wakeups::default(), RequestId(uuid::Uuid::from_u128(1)));
        let (mut first, mut second) = (wakeups.bell(id), wakeups.bell(id));
        wakeups.request_finished(id);
        first.rung().await;
        second.rung().await;
        drop((first, second, wakeups.bell(id)));
        assert!(wakeups.finished().is_empty());
    }
}
