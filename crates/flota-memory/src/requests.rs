use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{
    Callback, CallbackId, ClientName, Counts, Ending, Pack, PackKey, PackRecord, PortError,
    PortResult, PredictionKey, Request, RequestId, Resend, Round, RoundKey, Sha256, TaskId,
    TaskOutcome,
    ports::{
        Accept, Accepted, Finish, Recorded, Requests, queue_bounds::CLOCK_TOLERANCE, uploaded,
    },
};
use jiff::{SignedDuration, Timestamp};

/// Requests, and the callbacks that finishing them makes.
#[derive(Default)]
pub(super) struct MemoryRequests {
    tables: Mutex<Tables>,
}

#[derive(Default)]
pub(super) struct Tables {
    requests: BTreeMap<RequestId, Request>,
    idempotency: BTreeMap<(ClientName, String), (Sha256, RequestId)>,
    rounds: BTreeMap<RoundKey, Round>,
    packs: BTreeMap<PackKey, PackRecord>,
    attempts: BTreeMap<(TaskId, u32), u32>,
    latest: Option<Timestamp>,
    pub(super) callbacks: BTreeMap<CallbackId, Callback>,
}

impl MemoryRequests {
    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics under this lock")
    }
}

impl Tables {
    fn round(&mut self, key: RoundKey) -> PortResult<&mut Round> {
        self.rounds.get_mut(&key).ok_or_else(|| {
            let why = format!("{} has no round {}", key.request, key.round);
            PortError::permanent("changing a round", why)
        })
    }

    /// Where the clock was put back, rounds and callbacks are due as much earlier.
    fn notice(&mut self, now: Timestamp) {
        let back = self.latest.map_or(SignedDuration::ZERO, |latest| latest.duration_since(now));
        if back > SignedDuration::ZERO && back.unsigned_abs() <= CLOCK_TOLERANCE {
            return;
        }
        self.latest = Some(now);
        if back.is_positive() {
            let rounds = self.rounds.values_mut().map(|round| &mut round.due_at);
            let callbacks = self.callbacks.values_mut().map(|callback| &mut callback.due_at);
            rounds.chain(callbacks).flatten().filter(|at| **at > now).for_each(|at| *at -= back);
        }
    }

    /// The predictions that outcomes name.
    pub(super) fn named_predictions(&self) -> BTreeSet<PredictionKey> {
        let outcomes = self.packs.values().flat_map(|pack| pack.outcomes.values());
        let named = outcomes.filter_map(|outcome| match &outcome.ending {
            Ending::Succeeded { prediction, .. } => Some(prediction.clone()),
            _ => None,
        });
        named.collect()
    }

    /// The uploaded images that requests name.
    pub(super) fn named_images(&self) -> BTreeSet<Sha256> {
        let images = self.requests.values().flat_map(|request| &request.images);
        images.filter_map(|image| uploaded::parse(&image.url).ok()).collect()
    }

    /// Deletes requests whose last round finished before `before`, whose callbacks have ended, and of which
    /// `may_go` says true; how many.
    pub(super) fn delete_finished_before(
        &mut self,
        before: Timestamp,
        may_go: impl Fn(RequestId) -> bool,
    ) -> usize {
        let is_over = |id: RequestId| {
            let has_ended = |round: &Round| round.finished_at.is_some_and(|at| at < before);
            let is_pending =
                |callback: &Callback| callback.id.request == id && callback.due_at.is_some();
            self.rounds_of(id).all(has_ended) && !self.callbacks.values().any(is_pending)
        };
        let ids = self.requests.keys().copied();
        let gone: BTreeSet<RequestId> = ids.filter(|id| is_over(*id) && may_go(*id)).collect();
        self.requests.retain(|id, _| !gone.contains(id));
        self.idempotency.retain(|_, (_, id)| !gone.contains(id));
        self.rounds.retain(|key, _| !gone.contains(&key.request));
        self.packs.retain(|key, _| !gone.contains(&key.round.request));
        let is_gone = |task: &TaskId| task.source.request().is_some_and(|id| gone.contains(&id));
        self.attempts.retain(|(task, _), _| !is_gone(task));
        self.callbacks.retain(|id, _| !gone.contains(&id.request));
        gone.len()
    }

    pub(super) fn rounds_of(&self, request: RequestId) -> impl DoubleEndedIterator<Item = &Round> {
        let (first, last) = (RoundKey { request, round: 0 }, RoundKey { request, round: u32::MAX });
        self.rounds.range(first..=last).map(|(_, round)| round)
    }
}

#[async_trait]
impl Requests for MemoryRequests {
    async fn accept(&self, accept: &Accept) -> PortResult<Accepted> {
        let mut tables = self.tables();
        let request = &accept.request;
        let idempotency = accept.idempotency.as_ref();
        let key = idempotency.map(|by| ((by.client.clone(), by.key.clone()), by.fingerprint));
        if let Some((key, fingerprint)) = key {
            match tables.idempotency.get(&key) {
                Some((known, id)) if *known == fingerprint => return Ok(Accepted::Same(*id)),
                Some(_) => return Ok(Accepted::Conflict),
                None => tables.idempotency.insert(key, (fingerprint, request.id)),
            };
        }
        if tables.requests.contains_key(&request.id) {
            return Ok(Accepted::Same(request.id));
        }
        let round = Round::first(request, accept.due_at);
        tables.requests.insert(request.id, request.clone());
        tables.rounds.insert(round.key, round);
        Ok(Accepted::New)
    }

    async fn request(&self, id: RequestId) -> PortResult<Option<Request>> {
        Ok(self.tables().requests.get(&id).cloned())
    }

    async fn rounds(&self, id: RequestId) -> PortResult<Vec<Round>> {
        Ok(self.tables().rounds_of(id).cloned().collect())
    }

    async fn pack(&self, key: PackKey) -> PortResult<PackRecord> {
        Ok(self.tables().packs.get(&key).cloned().unwrap_or_default())
    }

    async fn packs(&self, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>> {
        let (first, last) =
            (PackKey { round: key, pack: 0 }, PackKey { round: key, pack: u32::MAX });
        let tables = self.tables();
        let packs = tables.packs.range(first..=last);
        Ok(packs.map(|(key, pack)| (key.pack, pack.clone())).collect())
    }

    async fn outcomes(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Vec<TaskOutcome>> {
        let tables = self.tables();
        let mut outcomes = Vec::new();
        for pack in packs {
            let Some(record) = tables.packs.get(&PackKey { round: key, pack: pack.index }) else {
                continue;
            };
            let of_task = |n: &u32| Some((*n, record.outcomes.get(n)?.clone()));
            let found = pack.tasks.iter().filter_map(of_task);
            outcomes.extend(found.map(|(n, outcome)| TaskOutcome { n, outcome }));
        }
        outcomes.sort_by_key(|outcome| outcome.n);
        Ok(outcomes)
    }

    async fn counts(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Counts> {
        let tables = self.tables();
        let mut counts = Counts::default();
        for pack in packs {
            let record = tables.packs.get(&PackKey { round: key, pack: pack.index });
            counts += record.unwrap_or(&PackRecord::default()).counts(pack);
        }
        Ok(counts)
    }

    async fn record(&self, key: PackKey, outcomes: &[TaskOutcome]) -> PortResult<Recorded> {
        let mut tables = self.tables();
        if outcomes.is_empty() {
            let pack = tables.packs.get(&key).cloned().unwrap_or_default();
            return Ok(Recorded { pack, set: Vec::new() });
        }
        let pack = tables.packs.entry(key).or_default();
        let set = pack.set_absent(outcomes);
        Ok(Recorded { pack: pack.clone(), set })
    }

    async fn complete_pack(&self, key: PackKey, _: Counts) -> PortResult<Round> {
        let mut tables = self.tables();
        let round = tables.round(key.round)?;
        round.complete.insert(key.pack);
        Ok(round.clone())
    }

    async fn finish(&self, finish: &Finish) -> PortResult<bool> {
        let mut tables = self.tables();
        let round = tables.round(finish.key)?;
        let is_first = round.finished_at.is_none();
        if is_first {
            round.finished_at = Some(finish.at);
            round.due_at = None;
        }
        if let Some(callback) = &finish.callback {
            tables.callbacks.entry(callback.id).or_insert_with(|| callback.clone());
        }
        Ok(is_first)
    }

    async fn open_round(
        &self,
        key: RoundKey,
        tasks: &BTreeSet<u32>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> PortResult<bool> {
        let mut tables = self.tables();
        let follows = tables.rounds_of(key.request).next_back().is_some_and(|last| {
            last.finished_at.is_some() && last.key.round.checked_add(1) == Some(key.round)
        });
        if follows {
            let round = Round {
                key,
                replayed: Some(tasks.clone()),
                complete: BTreeSet::new(),
                due_at: Some(due_at),
                opened_at: now,
                finished_at: None,
            };
            tables.rounds.insert(key, round);
        }
        Ok(follows)
    }

    async fn claim_overdue(
        &self,
        now: Timestamp,
        next: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Round>> {
        let mut tables = self.tables();
        tables.notice(now);
        let mut due: Vec<&mut Round> = tables
            .rounds
            .values_mut()
            .filter(|round| round.due_at.is_some_and(|due_at| due_at <= now))
            .collect();
        due.sort_by_key(|round| (round.due_at, round.key));
        let claim = |round: &mut Round| {
            round.due_at = Some(next);
            round.clone()
        };
        Ok(due.into_iter().take(limit).map(claim).collect())
    }

    async fn set_due(&self, key: RoundKey, due_at: Timestamp) -> PortResult<()> {
        let mut tables = self.tables();
        let round = tables.round(key)?;
        if round.finished_at.is_none() {
            round.due_at = Some(due_at);
        }
        Ok(())
    }

    async fn set_resent(&self, key: PackKey, resend: Resend) -> PortResult<()> {
        let mut tables = self.tables();
        let pack = tables.packs.entry(key).or_default();
        if pack.resent.is_none_or(|before| before.copy < resend.copy) {
            pack.resent = Some(resend);
        }
        Ok(())
    }

    async fn count_attempt(&self, task: TaskId, round: u32) -> PortResult<u32> {
        let mut tables = self.tables();
        let count = tables.attempts.entry((task, round)).or_default();
        *count = count.saturating_add(1);
        Ok(*count)
    }

    async fn attempts(&self, task: TaskId, round: u32) -> PortResult<u32> {
        Ok(self.tables().attempts.get(&(task, round)).copied().unwrap_or(0))
    }
}
