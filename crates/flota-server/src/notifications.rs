//! Notifications inside a process when a round finishes, so that nobody has to poll for it.

use std::{
    collections::HashMap,
    future,
    sync::{Mutex, MutexGuard},
};

use flota_core::RequestId;
use tokio::sync::{Notify, watch};

/// Most requests with a notification. Further waiting calls only poll.
const MAX_BELLS: usize = 10_000;

/// Notifications between the roles of a process. Other processes poll the store.
#[derive(Default)]
pub(crate) struct Notifications {
    callbacks: Notify,
    replays: Notify,
    finished: Mutex<HashMap<RequestId, watch::Sender<()>>>,
}

/// Waits for a request to finish. The last waiter of a request removes its sender.
pub(crate) struct FinishedWaiter<'a> {
    notifications: &'a Notifications,
    id: RequestId,
    receiver: Option<watch::Receiver<()>>,
}

impl Notifications {
    /// Notifies the notifier that a callback is due.
    pub(crate) fn callback_due(&self) {
        self.callbacks.notify_one();
    }

    /// Waits for the next due callback, or returns at once if one became due since the last call.
    pub(crate) async fn until_callback_due(&self) {
        self.callbacks.notified().await;
    }

    /// Notifies the replayer that a replay was started.
    pub(crate) fn replay_started(&self) {
        self.replays.notify_one();
    }

    /// Waits for the next started replay, or returns at once if one was started since the last
    /// call.
    pub(crate) async fn until_replay_started(&self) {
        self.replays.notified().await;
    }

    /// Notifies all waiters that a round of `id` is finished.
    pub(crate) fn request_finished(&self, id: RequestId) {
        if let Some(sender) = self.finished().remove(&id) {
            sender.send_replace(());
        }
    }

    /// A waiter for the next round of `id` that finishes from now on.
    pub(crate) fn waiter(&self, id: RequestId) -> FinishedWaiter<'_> {
        let mut finished = self.finished();
        let has_room = finished.len() < MAX_BELLS || finished.contains_key(&id);
        let receiver = has_room
            .then(|| finished.entry(id).or_insert_with(|| watch::Sender::new(())).subscribe());
        FinishedWaiter { notifications: self, id, receiver }
    }

    fn finished(&self) -> MutexGuard<'_, HashMap<RequestId, watch::Sender<()>>> {
        self.finished.lock().expect("nothing panics under this lock")
    }
}

impl FinishedWaiter<'_> {
    /// Waits until a round of the request finishes; for ever if there are too many waiters.
    pub(crate) async fn notified(&mut self) {
        match &mut self.receiver {
            // The sender is removed once the waiters were notified.
            Some(receiver) => drop(receiver.changed().await),
            None => future::pending().await,
        }
    }
}

impl Drop for FinishedWaiter<'_> {
    fn drop(&mut self) {
        self.receiver = None;
        let mut finished = self.notifications.finished();
        if finished.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            finished.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_rings_for_all_who_wait_and_leaves_nothing_behind() {
        let (notifications, id) = (Notifications::default(), RequestId(uuid::Uuid::from_u128(1)));
        let (mut first, mut second) = (notifications.waiter(id), notifications.waiter(id));
        notifications.request_finished(id);
        first.notified().await;
        second.notified().await;
        drop((first, second, notifications.waiter(id)));
        assert!(notifications.finished().is_empty());
    }
}
