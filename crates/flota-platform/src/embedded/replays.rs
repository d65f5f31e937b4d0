use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    ModelName, PortResult, Replay, ReplayId,
    ports::{ReplayStart, Replays},
};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    columns::{at_most, json, nanos, record},
    database::Database,
    error::Fault,
};

/// Replays in `records.sqlite`.
pub(super) struct EmbeddedReplays {
    database: Arc<Database>,
}

impl EmbeddedReplays {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Replays for EmbeddedReplays {
    async fn start(&self, replay: &Replay) -> PortResult<ReplayStart> {
        let replay = replay.clone();
        let write = move |connection: &Connection| {
            if let Some(running) = running(connection, &replay.model)? {
                return Ok(ReplayStart::Running(running.id));
            }
            insert(connection, &replay)?;
            Ok(ReplayStart::Started)
        };
        self.database.write("starting a replay", write).await
    }

    async fn get(&self, id: ReplayId) -> PortResult<Option<Replay>> {
        let read = move |connection: &_| find(connection, id);
        self.database.read("reading a replay", read).await
    }

    async fn list(&self, model: Option<&ModelName>, limit: usize) -> PortResult<Vec<Replay>> {
        let model = model.cloned();
        let read = move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT record FROM replays WHERE ?1 IS NULL OR model = ?1
                 ORDER BY id DESC LIMIT ?2",
            )?;
            let by = params![model.as_ref().map(ModelName::as_str), at_most(limit)];
            let found = select.query_and_then(by, |row| record(row, 0))?;
            found.collect()
        };
        self.database.read("listing replays", read).await
    }

    async fn claim(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Replay>> {
        let read = move |connection: &Connection| Ok(!free(connection, now, 1)?.is_empty());
        // Looked at often and seldom there: a read costs no sync.
        if !self.database.read("looking for replays", read).await? {
            return Ok(Vec::new());
        }
        let write = move |connection: &Connection| {
            let mut claimed = free(connection, now, limit)?;
            for replay in &mut claimed {
                replay.claimed_until = until;
                replay.revision += 1;
                write(connection, replay)?;
            }
            Ok(claimed)
        };
        self.database.write("claiming replays", write).await
    }

    async fn update(&self, replay: &Replay) -> PortResult<bool> {
        let mut replay = replay.clone();
        let write = move |connection: &Connection| {
            let kept = find(connection, replay.id)?;
            if !kept.is_some_and(|kept| kept.is_running() && kept.revision == replay.revision) {
                return Ok(false);
            }
            replay.revision += 1;
            write(connection, &replay)?;
            Ok(true)
        };
        self.database.write("keeping a replay's progress", write).await
    }
}

fn find(connection: &Connection, id: ReplayId) -> Result<Option<Replay>, Fault> {
    let mut select = connection.prepare_cached("SELECT record FROM replays WHERE id = ?1")?;
    let mut rows = select.query([id.to_string()])?;
    rows.next()?.map(|row| record(row, 0)).transpose()
}

fn running(connection: &Connection, model: &ModelName) -> Result<Option<Replay>, Fault> {
    let mut select =
        connection.prepare_cached("SELECT record FROM replays WHERE model = ?1 AND is_running")?;
    let mut rows = select.query([model.as_str()])?;
    rows.next()?.map(|row| record(row, 0)).transpose()
}

/// Running ones whose claim has ended at `now`.
fn free(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Replay>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT record FROM replays WHERE is_running AND claimed_until <= ?1
         ORDER BY id LIMIT ?2",
    )?;
    let found = select.query_and_then(params![nanos(now), at_most(limit)], |row| record(row, 0))?;
    found.collect()
}

fn insert(connection: &Connection, replay: &Replay) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO replays (id, model, is_running, claimed_until, record)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            replay.id.to_string(),
            replay.model.as_str(),
            replay.is_running(),
            nanos(replay.claimed_until),
            json(replay)?
        ])?;
    Ok(())
}

fn write(connection: &Connection, replay: &Replay) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE replays SET is_running = ?2, claimed_until = ?3, record = ?4 WHERE id = ?1",
        )?
        .execute(params![
            replay.id.to_string(),
            replay.is_running(),
            nanos(replay.claimed_until),
            json(replay)?
        ])?;
    Ok(())
}
