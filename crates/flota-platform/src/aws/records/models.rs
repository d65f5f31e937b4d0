use async_trait::async_trait;
use aws_sdk_dynamodb::types::ReturnValue;
use flota_core::{
    ModelName, ModelVersion, PortError, PortResult, Sha256,
    ports::{
        Models, RegisteredModel, Registration, RegistrationOutcome, Throughput, WorkerHeartbeat,
    },
};
use jiff::Timestamp;

use super::{
    batches::Query,
    columns::{
        Item, damaged, document, item, nanos, number, read_document, read_text, read_time, text,
    },
    table::{Change, MAX_SENDS, Table, Written},
};
use crate::aws::tables::{
    EXPIRES_AT,
    models::{PARTITION, SORT},
};

const DOCUMENT: &str = "document";
const DIGEST: &str = "weights_digest";
const REGISTERED_AT: &str = "registered_at";
const UNTIL: &str = "alive_until";
const SERVED: &str = "served_models";
const WORKER: &str = "worker_name";
const DRAINED_TO: &str = "drained_to";
const THROUGHPUT: &str = "throughput";

/// The partition of the current versions.
const CURRENT: &str = "current";
/// The partition of workers' heartbeats: some writes a second, and one read for each list.
const LINES: &str = "worker";
/// How long the line of a worker that died is kept, in seconds: nobody counts it any more.
const DEAD_LINE_KEPT_SECONDS: i64 = 60 * 60;

const REGISTERING: &str = "registering a model";

/// Models and the workers that say they live.
pub(super) struct DynamoModels {
    table: Table,
}

impl DynamoModels {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Keeps the digest of a version and returns when it was first registered with that one, or
    /// the other digest that it has.
    async fn keep_version(
        &self,
        registration: &Registration,
    ) -> PortResult<Result<Timestamp, Sha256>> {
        let (name, version) = (&registration.manifest.name, &registration.manifest.version);
        let key = version_key(name, version);
        let digest = text(registration.digest.to_string());
        for _ in 0..MAX_SENDS {
            let set =
                "SET weights_digest = :digest, registered_at = if_not_exists(registered_at, :at)";
            let known = Change::of(key.clone(), set)
                .only_if("attribute_not_exists(weights_digest) OR weights_digest = :digest")
                .value(":digest", digest.clone())
                .value(":at", nanos(registration.at))
                .returning(ReturnValue::AllNew);
            let other = match self.table.change(REGISTERING, known).await? {
                Written::Done(item) => {
                    let at = read_time(&item, REGISTERED_AT)?;
                    return at.map(Ok).ok_or_else(|| damaged(REGISTERED_AT, "missing"));
                }
                Written::Refused(item) => item.unwrap_or_default(),
            };
            let other = read_text(&other, DIGEST)?;
            if !version.is_dev() {
                let other = other.parse().map_err(|error| damaged(DIGEST, error))?;
                return Ok(Err(other));
            }
            let set = "SET weights_digest = :digest, registered_at = :at";
            let replaced = Change::of(key.clone(), set)
                .only_if("weights_digest = :other")
                .value(":digest", digest.clone())
                .value(":at", nanos(registration.at))
                .value(":other", text(other));
            if self.table.change(REGISTERING, replaced).await?.is_done() {
                return Ok(Ok(registration.at));
            }
        }
        Err(PortError::transient(REGISTERING, "others kept registering the same version"))
    }

    /// The lines of the workers that are alive at `now`.
    async fn lines(&self, now: Timestamp) -> PortResult<Vec<WorkerHeartbeat>> {
        let lines = self.table.query("reading workers' heartbeats", partition(LINES)).await?;
        let lines = lines.iter().map(read_line).collect::<PortResult<Vec<_>>>()?;
        Ok(lines.into_iter().filter(|line| line.until > now).collect())
    }
}

#[async_trait]
impl Models for DynamoModels {
    /// One read and two writes: a version that was kept and not made the current one is so when its
    /// worker starts again.
    async fn register(&self, registration: &Registration) -> PortResult<RegistrationOutcome> {
        let at = match self.keep_version(registration).await? {
            Ok(at) => at,
            Err(other) => return Ok(RegistrationOutcome::Conflict(other)),
        };
        let key = key_of(CURRENT, registration.manifest.name.as_str());
        for _ in 0..MAX_SENDS {
            let earlier = self.table.get(REGISTERING, key.clone()).await?;
            let mut registration = registration.clone();
            let mut change = Change::of(key.clone(), "SET document = :document");
            if let Some(earlier) = &earlier {
                registration.follow(read_document(earlier, DOCUMENT)?);
                let document = earlier.get(DOCUMENT).cloned();
                let document = document.ok_or_else(|| damaged(DOCUMENT, "missing"))?;
                change = change.only_if("document = :earlier").value(":earlier", document);
            } else {
                change = change.only_if("attribute_not_exists(document)");
            }
            registration.at = at;
            let change = change.value(":document", document(&registration)?);
            if self.table.change(REGISTERING, change).await?.is_done() {
                return Ok(RegistrationOutcome::Registered);
            }
        }
        Err(PortError::transient(REGISTERING, "others kept registering the same model"))
    }

    async fn is_registered(&self, name: &ModelName, version: &ModelVersion) -> PortResult<bool> {
        let key = version_key(name, version);
        Ok(self.table.get("looking for a version", key).await?.is_some())
    }

    /// One write unit.
    async fn alive(&self, line: &WorkerHeartbeat) -> PortResult<()> {
        let mut item = key_of(LINES, &line.instance);
        item.insert(WORKER.to_owned(), text(line.worker.as_str()));
        item.extend(line.drained_to.map(|at| (DRAINED_TO.to_owned(), nanos(at))));
        item.insert(SERVED.to_owned(), document(&line.models)?);
        item.insert(THROUGHPUT.to_owned(), document(&line.throughput)?);
        item.insert(UNTIL.to_owned(), nanos(line.until));
        let expires_at = line.until.as_second().saturating_add(DEAD_LINE_KEPT_SECONDS);
        item.insert(EXPIRES_AT.to_owned(), number(expires_at));
        self.table.put("refreshing a worker's heartbeat", &item, None).await.map(drop)
    }

    async fn gone(&self, instance: &str) -> PortResult<()> {
        self.table.delete("ending a worker's heartbeat", key_of(LINES, instance)).await
    }

    async fn workers(&self, now: Timestamp) -> PortResult<Vec<WorkerHeartbeat>> {
        self.lines(now).await
    }

    async fn list(&self, now: Timestamp) -> PortResult<Vec<RegisteredModel>> {
        let models = self.table.query("listing models", partition(CURRENT)).await?;
        let lines = self.lines(now).await?;
        models.iter().map(|item| registered(item, &lines)).collect()
    }

    async fn get(&self, name: &ModelName, now: Timestamp) -> PortResult<Option<RegisteredModel>> {
        let key = key_of(CURRENT, name.as_str());
        let Some(item) = self.table.get("reading a model", key).await? else { return Ok(None) };
        registered(&item, &self.lines(now).await?).map(Some)
    }
}

fn read_line(item: &Item) -> PortResult<WorkerHeartbeat> {
    let worker = read_text(item, WORKER)?.parse().map_err(|error| damaged(WORKER, error))?;
    Ok(WorkerHeartbeat {
        instance: read_text(item, SORT)?.to_owned(),
        worker,
        models: read_document(item, SERVED)?,
        until: read_time(item, UNTIL)?.ok_or_else(|| damaged(UNTIL, "missing"))?,
        drained_to: read_time(item, DRAINED_TO)?,
        // Lines of a version that does not measure it lack it.
        throughput: match item.contains_key(THROUGHPUT) {
            true => read_document(item, THROUGHPUT)?,
            false => Throughput::default(),
        },
    })
}

/// The model of an item, with those of `lines` that take its tasks.
fn registered(item: &Item, lines: &[WorkerHeartbeat]) -> PortResult<RegisteredModel> {
    Ok(RegisteredModel::with_lines(read_document(item, DOCUMENT)?, lines))
}

/// The key of a version that was registered.
fn version_key(name: &ModelName, version: &ModelVersion) -> Item {
    key_of(&format!("version#{name}"), &version.0)
}

fn key_of(kind: &str, key: &str) -> Item {
    item([(PARTITION, text(kind)), (SORT, text(key))])
}

fn partition(kind: &str) -> Query {
    Query::all("record_kind = :kind", item([(":kind", text(kind))]))
}
