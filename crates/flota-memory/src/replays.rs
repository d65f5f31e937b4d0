use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{
    ModelName, PortResult, Replay, ReplayId,
    ports::{ReplayStart, Replays},
};
use jiff::Timestamp;

/// Replays by their ids.
#[derive(Default)]
pub(super) struct MemoryReplays {
    replays: Mutex<BTreeMap<ReplayId, Replay>>,
}

impl MemoryReplays {
    pub(super) fn replays(&self) -> MutexGuard<'_, BTreeMap<ReplayId, Replay>> {
        self.replays.lock().expect("nothing panics under this lock")
    }
}

#[async_trait]
impl Replays for MemoryReplays {
    async fn start(&self, replay: &Replay) -> PortResult<ReplayStart> {
        let mut replays = self.replays();
        let is_in_its_way = |other: &&Replay| other.is_running() && other.model == replay.model;
        if let Some(running) = replays.values().find(is_in_its_way) {
            return Ok(ReplayStart::Running(running.id));
        }
        replays.insert(replay.id, replay.clone());
        Ok(ReplayStart::Started)
    }

    async fn get(&self, id: ReplayId) -> PortResult<Option<Replay>> {
        Ok(self.replays().get(&id).cloned())
    }

    async fn list(&self, model: Option<&ModelName>, limit: usize) -> PortResult<Vec<Replay>> {
        let replays = self.replays();
        let found = replays.values().rev();
        let found = found.filter(|replay| model.is_none_or(|model| replay.model == *model));
        Ok(found.take(limit).cloned().collect())
    }

    async fn claim(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Replay>> {
        let mut replays = self.replays();
        let is_free = |replay: &&mut Replay| replay.is_running() && replay.claimed_until <= now;
        let claim = |replay: &mut Replay| {
            replay.claimed_until = until;
            replay.revision += 1;
            replay.clone()
        };
        Ok(replays.values_mut().filter(is_free).take(limit).map(claim).collect())
    }

    async fn update(&self, replay: &Replay) -> PortResult<bool> {
        match self.replays().get_mut(&replay.id) {
            Some(kept) if kept.is_running() && kept.revision == replay.revision => {
                *kept = Replay { revision: replay.revision + 1, ..replay.clone() };
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
