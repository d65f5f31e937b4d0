use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use flota_core::{
    Counts, Pack, PackKey, PackRecord, PortResult, Request, RequestId, Resend, Round, RoundKey,
    TaskId, TaskOutcome,
    ports::{Accept, Accepted, Finish, Recorded, Requests},
};
use flota_platform::Platform;
use jiff::Timestamp;

/// A store of requests that counts reads.
pub(crate) struct CountingRequests {
    inner: Arc<dyn Requests>,
    reads: Mutex<Reads>,
}

/// The reads since the last [`CountingRequests::take`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    /// Reads of a request.
    pub(crate) requests: u32,
    /// Reads of all rounds of a request.
    pub(crate) rounds: u32,
    /// Reads of counts.
    pub(crate) counts: u32,
    /// The numbers of the tasks whose outcomes were read.
    pub(crate) outcomes: Vec<u32>,
    /// Reads of all packs of a round.
    pub(crate) packs: u32,
}

impl CountingRequests {
    /// Replaces the store of requests of `platform` by such a one.
    pub(crate) fn over(platform: &mut Platform) -> Arc<Self> {
        let inner = platform.requests.clone();
        let requests = Arc::new(Self { inner, reads: Mutex::default() });
        platform.requests = requests.clone();
        requests
    }

    /// Returns the reads since the last call.
    pub(crate) fn take(&self) -> Reads {
        mem::take(&mut self.reads.lock().expect("nothing panics under this lock"))
    }

    fn note(&self, note: impl FnOnce(&mut Reads)) {
        note(&mut self.reads.lock().expect("nothing panics under this lock"));
    }
}

#[async_trait]
impl Requests for CountingRequests {
    async fn accept(&self, accept: &Accept) -> PortResult<Accepted> {
        self.inner.accept(accept).await
    }

    async fn request(&self, id: RequestId) -> PortResult<Option<Request>> {
        self.note(|reads| reads.requests += 1);
        self.inner.request(id).await
    }

    async fn rounds(&self, id: RequestId) -> PortResult<Vec<Round>> {
        self.note(|reads| reads.rounds += 1);
        self.inner.rounds(id).await
    }

    async fn pack(&self, key: PackKey) -> PortResult<PackRecord> {
        self.inner.pack(key).await
    }

    async fn packs(&self, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>> {
        self.note(|reads| reads.packs += 1);
        self.inner.packs(key).await
    }

    async fn outcomes(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Vec<TaskOutcome>> {
        let outcomes = self.inner.outcomes(key, packs).await?;
        self.note(|reads| reads.outcomes.extend(outcomes.iter().map(|outcome| outcome.n)));
        Ok(outcomes)
    }

    async fn counts(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Counts> {
        self.note(|reads| reads.counts += 1);
        self.inner.counts(key, packs).await
    }

    async fn record(&self, key: PackKey, outcomes: &[TaskOutcome]) -> PortResult<Recorded> {
        self.inner.record(key, outcomes).await
    }

    async fn complete_pack(&self, key: PackKey, ended: Counts) -> PortResult<Round> {
        self.inner.complete_pack(key, ended).await
    }

    async fn finish(&self, finish: &Finish) -> PortResult<bool> {
        self.inner.finish(finish).await
    }

    async fn open_round(
        &self,
        key: RoundKey,
        tasks: &BTreeSet<u32>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> PortResult<bool> {
        self.inner.open_round(key, tasks, now, due_at).await
    }

    async fn claim_overdue(
        &self,
        now: Timestamp,
        next: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Round>> {
        self.inner.claim_overdue(now, next, limit).await
    }

    async fn set_due(&self, key: RoundKey, due_at: Timestamp) -> PortResult<()> {
        self.inner.set_due(key, due_at).await
    }

    async fn set_resent(&self, key: PackKey, resend: Resend) -> PortResult<()> {
        self.inner.set_resent(key, resend).await
    }

    async fn count_attempt(&self, task: TaskId, round: u32) -> PortResult<u32> {
        self.inner.count_attempt(task, round).await
    }

    async fn attempts(&self, task: TaskId, round: u32) -> PortResult<u32> {
        self.inner.attempts(task, round).await
    }
}
