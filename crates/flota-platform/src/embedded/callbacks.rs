use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    Callback, CallbackAttempt, CallbackId, CallbackState, PortError, PortResult, RequestId,
    ports::Callbacks,
};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{
    columns::{at_most, blob, json, nanos, record, time},
    database::Database,
    error::Fault,
};

/// Callbacks in `records.sqlite`.
pub(super) struct EmbeddedCallbacks {
    database: Arc<Database>,
}

impl EmbeddedCallbacks {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Callbacks for EmbeddedCallbacks {
    async fn claim_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Callback>> {
        // A look first: most of the time nothing is due, and that is to cost no lock.
        let look = move |connection: &_| Ok(due(connection, now, 1)?.is_empty());
        if self.database.read("looking for due callbacks", look).await? {
            return Ok(Vec::new());
        }
        let write = move |connection: &Connection| {
            let mut update = connection.prepare_cached(
                "UPDATE callbacks SET due_at = ?3 WHERE request = ?1 AND round = ?2",
            )?;
            let mut claimed = Vec::new();
            for id in due(connection, now, limit)? {
                update.execute(params![blob(id.request), id.round, nanos(until)])?;
                claimed.extend(select(connection, id.request, Some(id.round))?);
            }
            Ok(claimed)
        };
        self.database.write("claiming due callbacks", write).await
    }

    async fn attempted(
        &self,
        id: CallbackId,
        claim: Timestamp,
        attempt: &CallbackAttempt,
        (state, due_at): (CallbackState, Option<Timestamp>),
    ) -> PortResult<()> {
        let attempt = attempt.clone();
        let write = move |connection: &Connection| {
            let logged = connection
                .prepare_cached(
                    "INSERT INTO callback_attempts (request, round, record)
                     SELECT request, round, ?3 FROM callbacks WHERE request = ?1 AND round = ?2",
                )?
                .execute(params![blob(id.request), id.round, json(&attempt)?])?;
            if logged == 0 {
                let why = format!("there is no callback {id}");
                return Err(PortError::permanent("logging an attempt", why).into());
            }
            connection
                .prepare_cached(
                    "UPDATE callbacks SET state = ?4, due_at = ?5
                     WHERE request = ?1 AND round = ?2 AND due_at = ?3",
                )?
                .execute(params![
                    blob(id.request),
                    id.round,
                    nanos(claim),
                    state.to_string(),
                    due_at.map(nanos)
                ])?;
            Ok(())
        };
        self.database.write("logging an attempt", write).await
    }

    async fn release(&self, id: CallbackId, claim: Timestamp, due_at: Timestamp) -> PortResult<()> {
        let write = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "UPDATE callbacks SET due_at = ?5
                     WHERE request = ?1 AND round = ?2 AND due_at = ?3 AND state = ?4",
                )?
                .execute(params![
                    blob(id.request),
                    id.round,
                    nanos(claim),
                    CallbackState::Pending.to_string(),
                    nanos(due_at)
                ])?;
            Ok(())
        };
        self.database.write("releasing a callback", write).await
    }

    async fn pending_count(&self) -> PortResult<u64> {
        let read = |connection: &Connection| {
            let count = "SELECT count(*) FROM callbacks WHERE due_at IS NOT NULL";
            Ok(connection.prepare_cached(count)?.query_row([], |row| row.get(0))?)
        };
        self.database.read("counting callbacks", read).await
    }

    async fn of_request(&self, request: RequestId) -> PortResult<Vec<Callback>> {
        let read = move |connection: &_| select(connection, request, None);
        self.database.read("reading a request's callbacks", read).await
    }

    async fn redeliver(&self, id: CallbackId, now: Timestamp) -> PortResult<bool> {
        let write = move |connection: &Connection| {
            let changed = connection
                .prepare_cached(
                    "UPDATE callbacks SET state = ?3, due_at = ?4
                     WHERE request = ?1 AND round = ?2",
                )?
                .execute(params![
                    blob(id.request),
                    id.round,
                    CallbackState::Pending.to_string(),
                    nanos(now)
                ])?;
            Ok(changed > 0)
        };
        self.database.write("redelivering a callback", write).await
    }
}

/// Keeps a callback unless it is there.
pub(super) fn insert_absent(connection: &Connection, callback: &Callback) -> Result<(), Fault> {
    let CallbackId { request, round } = callback.id;
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO callbacks
                 (request, round, url, event, state, due_at, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            blob(request),
            round,
            callback.url,
            json(&callback.event)?,
            callback.state.to_string(),
            callback.due_at.map(nanos),
            nanos(callback.created_at)
        ])?;
    if inserted > 0 {
        let mut insert = connection.prepare_cached(
            "INSERT INTO callback_attempts (request, round, record) VALUES (?1, ?2, ?3)",
        )?;
        for attempt in &callback.attempts {
            insert.execute(params![blob(request), round, json(attempt)?])?;
        }
    }
    Ok(())
}

fn due(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<CallbackId>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT request, round FROM callbacks WHERE due_at <= ?1
         ORDER BY due_at, request, round LIMIT ?2",
    )?;
    let ids = select.query_map(params![nanos(now), at_most(limit)], |row| {
        let request = RequestId(Uuid::from_bytes(row.get(0)?));
        Ok(CallbackId { request, round: row.get(1)? })
    })?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The callbacks of a request, or of one of its rounds.
fn select(
    connection: &Connection,
    request: RequestId,
    round: Option<u32>,
) -> Result<Vec<Callback>, Fault> {
    let (first, last) = round.map_or((0, u32::MAX), |round| (round, round));
    let mut select = connection.prepare_cached(
        "SELECT round, url, event, state, due_at, created_at FROM callbacks
         WHERE request = ?1 AND round BETWEEN ?2 AND ?3 ORDER BY round",
    )?;
    let mut attempts = connection.prepare_cached(
        "SELECT record FROM callback_attempts WHERE request = ?1 AND round = ?2 ORDER BY id",
    )?;
    let mut rows = select.query(params![blob(request), first, last])?;
    let mut callbacks = Vec::new();
    while let Some(row) = rows.next()? {
        let round: u32 = row.get(0)?;
        let state: String = row.get(3)?;
        let state = state.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                3,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?;
        callbacks.push(Callback {
            id: CallbackId { request, round },
            url: row.get(1)?,
            event: record(row, 2)?,
            state,
            due_at: row.get::<_, Option<i64>>(4)?.map(time),
            created_at: time(row.get(5)?),
            attempts: attempts
                .query_and_then(params![blob(request), round], |row| record(row, 0))?
                .collect::<Result<_, Fault>>()?,
        });
    }
    Ok(callbacks)
}
