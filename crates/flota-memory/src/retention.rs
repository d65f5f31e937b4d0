use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use flota_core::{
    PortResult, ReplayState, RequestId,
    ports::{Clock, Deleted, Retention, StoredKind},
};
use jiff::Timestamp;

use super::{
    aliases::MemoryAliases, dead_letters::MemoryDeadLetters, images::MemoryImages,
    predictions::MemoryPredictions, queue::MemoryQueue, replays::MemoryReplays,
    requests::MemoryRequests,
};

/// Deletion from memory: all of a kind in one step. Sizes are not counted.
pub(super) struct MemoryRetention {
    pub(super) queue: Arc<MemoryQueue>,
    pub(super) requests: Arc<MemoryRequests>,
    pub(super) predictions: Arc<MemoryPredictions>,
    pub(super) aliases: Arc<MemoryAliases>,
    pub(super) dead_letters: Arc<MemoryDeadLetters>,
    pub(super) replays: Arc<MemoryReplays>,
    pub(super) images: Arc<MemoryImages>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) believed_at: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Retention for MemoryRetention {
    async fn delete(
        &self,
        kind: StoredKind,
        before: Timestamp,
        _after: Option<&str>,
    ) -> PortResult<Deleted> {
        let count = match kind {
            StoredKind::Messages => self.queue.delete_sent_before(before, self.clock.now()),
            StoredKind::Requests => self.delete_requests(before),
            StoredKind::DeadLetters => {
                self.delete_letters(|letter| letter.resolved_at().is_some_and(|at| at < before))
            }
            StoredKind::OpenDeadLetters => {
                self.delete_letters(|letter| letter.is_open() && letter.created_at < before)
            }
            StoredKind::Replays => self.delete_replays(before),
            StoredKind::Predictions => {
                let named = self.requests.tables().named_predictions();
                self.predictions.delete(|key, used_at| used_at < before && !named.contains(key))
            }
            StoredKind::Aliases => {
                let known = self.predictions.images();
                self.aliases.delete(|sha256| !known.contains(&sha256))
            }
            StoredKind::Images => {
                let named = self.requests.tables().named_images();
                self.images.delete(|sha256, put_at| put_at < before && !named.contains(&sha256))
            }
        };
        Ok(Deleted { count: count as u64, ..Deleted::default() })
    }

    async fn believed_at(&self) -> PortResult<Option<Timestamp>> {
        Ok(*self.believed_at.lock().expect("nothing panics under this lock"))
    }

    async fn believe(&self, at: Timestamp) -> PortResult<()> {
        *self.believed_at.lock().expect("nothing panics under this lock") = Some(at);
        Ok(())
    }

    async fn shrink(&self) -> PortResult<u64> {
        Ok(0)
    }
}

impl MemoryRetention {
    fn delete_requests(&self, before: Timestamp) -> usize {
        let open: BTreeSet<RequestId> = {
            let letters = self.dead_letters.letters();
            let open = letters.values().filter(|letter| letter.is_open());
            open.filter_map(|letter| letter.request()).collect()
        };
        self.requests.tables().delete_finished_before(before, |id| !open.contains(&id))
    }

    fn delete_letters(&self, is_old: impl Fn(&flota_core::DeadLetter) -> bool) -> usize {
        let tables = self.requests.tables();
        let runs = |id: RequestId| {
            tables.rounds_of(id).next_back().is_some_and(|round| round.finished_at.is_none())
        };
        let mut letters = self.dead_letters.letters();
        let before = letters.len();
        letters.retain(|_, letter| !is_old(letter) || letter.request().is_some_and(runs));
        before - letters.len()
    }

    fn delete_replays(&self, before: Timestamp) -> usize {
        let mut replays = self.replays.replays();
        let count = replays.len();
        replays.retain(|_, replay| match replay.state {
            ReplayState::Running => true,
            ReplayState::Completed { at } | ReplayState::Stopped { at, .. } => at >= before,
        });
        count - replays.len()
    }
}
