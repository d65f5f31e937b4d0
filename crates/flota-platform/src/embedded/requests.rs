use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use flota_core::{
    Counts, Pack, PackKey, PackRecord, PortResult, Request, RequestId, Resend, Round, RoundKey,
    TaskId, TaskOutcome,
    ports::{Accept, Accepted, Finish, IdempotencyKey, Recorded, Requests},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    clock_jumps,
    columns::{blob, json, nanos, record, sha256},
    database::Database,
    error::Fault,
    rounds,
};

/// Requests in `records.sqlite`.
pub(super) struct EmbeddedRequests {
    database: Arc<Database>,
}

impl EmbeddedRequests {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Requests for EmbeddedRequests {
    async fn accept(&self, accepting: &Accept) -> PortResult<Accepted> {
        let accepting = accepting.clone();
        let write = move |connection: &_| accept(connection, &accepting);
        self.database.write("keeping a request", write).await
    }

    async fn request(&self, id: RequestId) -> PortResult<Option<Request>> {
        let read = move |connection: &Connection| {
            let mut select =
                connection.prepare_cached("SELECT record FROM requests WHERE id = ?1")?;
            let mut rows = select.query([blob(id)])?;
            rows.next()?.map(|row| record(row, 0)).transpose()
        };
        self.database.read("reading a request", read).await
    }

    async fn rounds(&self, id: RequestId) -> PortResult<Vec<Round>> {
        let read = move |connection: &_| {
            let last = rounds::last(connection, blob(id))?.unwrap_or(0);
            let keys = (1..=last).map(|round| RoundKey { request: id, round });
            keys.map(|key| rounds::get(connection, key)).collect()
        };
        self.database.read("reading a request's rounds", read).await
    }

    async fn pack(&self, key: PackKey) -> PortResult<PackRecord> {
        let read = move |connection: &_| read_pack(connection, key);
        self.database.read("reading a pack", read).await
    }

    async fn packs(&self, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>> {
        let read =
            move |connection: &_| Ok(rounds::packs(connection, key, None)?.into_iter().collect());
        self.database.read("reading a round's packs", read).await
    }

    async fn outcomes(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Vec<TaskOutcome>> {
        let packs = packs.to_vec();
        let read = move |connection: &_| rounds::outcomes(connection, key, &packs);
        self.database.read("reading outcomes", read).await
    }

    async fn counts(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Counts> {
        let task_count: usize = packs.iter().map(|pack| pack.tasks.len()).sum();
        let total = u32::try_from(task_count).expect("a request is bounded");
        let read = move |connection: &_| rounds::counts(connection, key, total);
        self.database.read("counting outcomes", read).await
    }

    async fn record(&self, key: PackKey, outcomes: &[TaskOutcome]) -> PortResult<Recorded> {
        let outcomes = outcomes.to_vec();
        let write = move |connection: &_| {
            let set = rounds::record_absent(connection, key, &outcomes)?;
            Ok(Recorded { pack: read_pack(connection, key)?, set })
        };
        self.database.write("recording outcomes", write).await
    }

    async fn complete_pack(&self, key: PackKey, _: Counts) -> PortResult<Round> {
        let write = move |connection: &_| rounds::complete_pack(connection, key);
        self.database.write("completing a pack", write).await
    }

    async fn finish(&self, finish: &Finish) -> PortResult<bool> {
        let finish = finish.clone();
        let write = move |connection: &_| rounds::finish(connection, &finish);
        self.database.write("finishing a round", write).await
    }

    async fn open_round(
        &self,
        key: RoundKey,
        tasks: &BTreeSet<u32>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> PortResult<bool> {
        let round = Round {
            key,
            replayed: Some(tasks.clone()),
            complete: BTreeSet::new(),
            due_at: Some(due_at),
            opened_at: now,
            finished_at: None,
        };
        let write = move |connection: &_| open_round(connection, &round);
        self.database.write("opening a round", write).await
    }

    async fn claim_overdue(
        &self,
        now: Timestamp,
        next: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Round>> {
        // A look first: most of the time nothing is due, and that is to cost no lock.
        let look = move |connection: &_| {
            let has_jumped = clock_jumps::is_due_in_records(connection, nanos(now))?;
            Ok(!has_jumped && rounds::overdue(connection, now, 1)?.is_empty())
        };
        if self.database.read("looking for overdue rounds", look).await? {
            return Ok(Vec::new());
        }
        let write = move |connection: &_| {
            clock_jumps::notice_in_records(connection, nanos(now))?;
            let mut claimed = Vec::new();
            for key in rounds::overdue(connection, now, limit)? {
                rounds::set_due(connection, key, next)?;
                claimed.push(rounds::get(connection, key)?);
            }
            Ok(claimed)
        };
        self.database.write("claiming overdue rounds", write).await
    }

    async fn set_due(&self, key: RoundKey, due_at: Timestamp) -> PortResult<()> {
        let write = move |connection: &_| rounds::set_due(connection, key, due_at);
        self.database.write("setting when a round is due", write).await
    }

    async fn set_resent(&self, key: PackKey, resend: Resend) -> PortResult<()> {
        let write = move |connection: &_| rounds::set_resent(connection, key, resend);
        self.database.write("noting a copy", write).await
    }

    async fn count_attempt(&self, task: TaskId, round: u32) -> PortResult<u32> {
        let write = move |connection: &Connection| {
            let mut count = connection.prepare_cached(
                "INSERT INTO attempts (request, n, round, attempt_count) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT DO UPDATE SET attempt_count = attempt_count + 1
                 RETURNING attempt_count",
            )?;
            let row = params![blob(RequestId(task.source.uuid())), task.n, round];
            Ok(count.query_row(row, |row| row.get(0))?)
        };
        self.database.write("counting an attempt", write).await
    }

    async fn attempts(&self, task: TaskId, round: u32) -> PortResult<u32> {
        let read = move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT attempt_count FROM attempts WHERE request = ?1 AND n = ?2 AND round = ?3",
            )?;
            let row = params![blob(RequestId(task.source.uuid())), task.n, round];
            Ok(select.query_row(row, |row| row.get(0)).optional()?.unwrap_or(0))
        };
        self.database.read("reading attempts", read).await
    }
}

fn accept(connection: &Connection, accept: &Accept) -> Result<Accepted, Fault> {
    let request = &accept.request;
    if let Some(key) = &accept.idempotency
        && let Some(known) = known_submission(connection, key)?
    {
        return Ok(known);
    }
    let kept = connection
        .prepare_cached("INSERT OR IGNORE INTO requests (id, record) VALUES (?1, ?2)")?
        .execute(params![blob(request.id), json(request)?])?;
    if let Some(IdempotencyKey { client, key, fingerprint }) = &accept.idempotency {
        connection
            .prepare_cached(
                "INSERT INTO idempotency_keys (client, key, fingerprint, request)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![client.as_str(), key, fingerprint.to_string(), blob(request.id)])?;
    }
    if kept == 0 {
        return Ok(Accepted::Same(request.id));
    }
    rounds::insert(connection, &Round::first(request, accept.due_at))?;
    Ok(Accepted::New)
}

fn known_submission(
    connection: &Connection,
    by: &IdempotencyKey,
) -> Result<Option<Accepted>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT fingerprint, request FROM idempotency_keys WHERE client = ?1 AND key = ?2",
    )?;
    let known = select
        .query_row(params![by.client.as_str(), by.key], |row| {
            Ok((sha256(row, 0)?, RequestId(Uuid::from_bytes(row.get(1)?))))
        })
        .optional()?;
    Ok(known.map(|(fingerprint, request)| {
        if fingerprint == by.fingerprint { Accepted::Same(request) } else { Accepted::Conflict }
    }))
}

fn open_round(connection: &Connection, round: &Round) -> Result<bool, Fault> {
    let RoundKey { request, round: number } = round.key;
    let Some(last) = rounds::last(connection, blob(request))? else { return Ok(false) };
    let last = rounds::get(connection, RoundKey { request, round: last })?;
    let follows = last.finished_at.is_some() && last.key.round.checked_add(1) == Some(number);
    if follows {
        rounds::insert(connection, round)?;
    }
    Ok(follows)
}

fn read_pack(connection: &Connection, key: PackKey) -> Result<PackRecord, Fault> {
    let mut packs = rounds::packs(connection, key.round, Some(key.pack))?;
    Ok(packs.remove(&key.pack).unwrap_or_default())
}
