use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    ModelName, ModelVersion, PortResult, Sha256,
    ports::{Models, RegisteredModel, Registration, RegistrationOutcome, WorkerHeartbeat},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::{json, name, nanos, optional_record, record, sha256, time},
    database::Database,
    error::Fault,
};

/// How long the line of a worker that died is kept, in nanoseconds: nobody counts it, and it must go some day.
const DEAD_LINE_KEPT: i64 = 60 * 60 * 1_000_000_000;

/// Models in `records.sqlite`.
pub(super) struct EmbeddedModels {
    database: Arc<Database>,
}

impl EmbeddedModels {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Models for EmbeddedModels {
    async fn register(&self, registration: &Registration) -> PortResult<RegistrationOutcome> {
        let registration = registration.clone();
        let write = move |connection: &_| register(connection, &registration);
        self.database.write("registering a model", write).await
    }

    async fn is_registered(&self, name: &ModelName, version: &ModelVersion) -> PortResult<bool> {
        let (name, version) = (name.clone(), version.clone());
        let read = move |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM models WHERE name = ?1 AND version = ?2)",
            )?;
            Ok(find.query_row([name.as_str(), &version.0], |row| row.get(0))?)
        };
        self.database.read("looking for a version", read).await
    }

    async fn alive(&self, line: &WorkerHeartbeat) -> PortResult<()> {
        let line = line.clone();
        let write = move |connection: &_| keep_line(connection, &line);
        self.database.write("refreshing a worker's heartbeat", write).await
    }

    async fn gone(&self, instance: &str) -> PortResult<()> {
        let instance = instance.to_owned();
        let write = move |connection: &Connection| {
            connection
                .prepare_cached("DELETE FROM workers WHERE instance = ?1")?
                .execute([instance])?;
            Ok(())
        };
        self.database.write("ending a worker's heartbeat", write).await
    }

    async fn workers(&self, now: Timestamp) -> PortResult<Vec<WorkerHeartbeat>> {
        let read = move |connection: &_| lines(connection, now);
        self.database.read("listing workers", read).await
    }

    async fn list(&self, now: Timestamp) -> PortResult<Vec<RegisteredModel>> {
        let read = move |connection: &_| current(connection, None, now);
        self.database.read("listing models", read).await
    }

    async fn get(&self, name: &ModelName, now: Timestamp) -> PortResult<Option<RegisteredModel>> {
        let name = name.clone();
        let read = move |connection: &_| Ok(current(connection, Some(&name), now)?.pop());
        self.database.read("reading a model", read).await
    }
}

fn register(
    connection: &Connection,
    registration: &Registration,
) -> Result<RegistrationOutcome, Fault> {
    let (name, version) = (&registration.manifest.name, &registration.manifest.version);
    // The time alone: an earlier program's manifest need not be readable to be replaced.
    let known: Option<(Sha256, String)> = connection
        .prepare_cached(
            "SELECT digest, record ->> '$.at' FROM models WHERE name = ?1 AND version = ?2",
        )?
        .query_row(params![name.as_str(), version.0], |row| Ok((sha256(row, 0)?, row.get(1)?)))
        .optional()?;
    let mut registration = registration.clone();
    let mut select =
        connection.prepare_cached("SELECT record FROM models WHERE name = ?1 AND is_current")?;
    if let Some(earlier) = select.query_and_then([name.as_str()], |row| record(row, 0))?.next() {
        registration.follow(earlier?);
    }
    match known {
        Some((digest, at)) if digest == registration.digest => {
            registration.at = at.parse().unwrap_or(registration.at);
        }
        Some((digest, _)) if !version.is_dev() => {
            return Ok(RegistrationOutcome::Conflict(digest));
        }
        Some(_) | None => {}
    }
    connection
        .prepare_cached("UPDATE models SET is_current = 0 WHERE name = ?1 AND is_current")?
        .execute([name.as_str()])?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO models (name, version, digest, is_current, record)
             VALUES (?1, ?2, ?3, 1, ?4)",
        )?
        .execute(params![
            name.as_str(),
            version.0,
            registration.digest.to_string(),
            json(&registration)?
        ])?;
    Ok(RegistrationOutcome::Registered)
}

fn keep_line(connection: &Connection, line: &WorkerHeartbeat) -> Result<(), Fault> {
    // The workers' models go with their lines.
    connection
        .prepare_cached("DELETE FROM workers WHERE instance = ?1 OR until < ?2")?
        .execute(params![line.instance, nanos(line.until).saturating_sub(DEAD_LINE_KEPT)])?;
    connection
        .prepare_cached(
            "INSERT INTO workers (instance, worker, until, drained_to, throughput)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            line.instance,
            line.worker.as_str(),
            nanos(line.until),
            line.drained_to.map(nanos),
            json(&line.throughput)?
        ])?;
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO worker_models (instance, model, version) VALUES (?1, ?2, ?3)",
    )?;
    for (model, version) in &line.models {
        insert.execute(params![line.instance, model.as_str(), version.0])?;
    }
    Ok(())
}

/// The lines of the workers that are alive at `now`.
fn lines(connection: &Connection, now: Timestamp) -> Result<Vec<WorkerHeartbeat>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT instance, worker, until, drained_to, throughput FROM workers WHERE until > ?1",
    )?;
    let mut served = connection
        .prepare_cached("SELECT model, version FROM worker_models WHERE instance = ?1")?;
    let mut rows = select.query([nanos(now)])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let instance: String = row.get(0)?;
        let models = served.query_and_then([&instance], |row| {
            Ok::<_, Fault>((name(row, 0)?, ModelVersion(row.get(1)?)))
        })?;
        lines.push(WorkerHeartbeat {
            models: models.collect::<Result<_, _>>()?,
            instance,
            worker: name(row, 1)?,
            until: time(row.get(2)?),
            drained_to: row.get::<_, Option<i64>>(3)?.map(time),
            // A line of a version that does not measure it lacks it.
            throughput: optional_record(row, 4)?.unwrap_or_default(),
        });
    }
    Ok(lines)
}

fn current(
    connection: &Connection,
    name: Option<&ModelName>,
    now: Timestamp,
) -> Result<Vec<RegisteredModel>, Fault> {
    let alive = lines(connection, now)?;
    let mut select = connection.prepare_cached(
        "SELECT record FROM models WHERE is_current AND (?1 IS NULL OR name = ?1) ORDER BY name",
    )?;
    let found = select.query_and_then([name.map(ModelName::as_str)], |row| {
        Ok(RegisteredModel::with_lines(record(row, 0)?, &alive))
    })?;
    found.collect()
}
