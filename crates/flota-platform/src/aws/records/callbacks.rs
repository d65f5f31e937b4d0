use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use flota_core::{
    Callback, CallbackAttempt, CallbackId, CallbackState, PortError, PortResult, RequestId,
    RoundKey, ports::Callbacks,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    columns::{Item, damaged, document, item, nanos, read_document, read_text, read_time, text},
    due::{self, DUE_AT, Kind, due},
    keys::{last_number, request_of, round_key},
    requests::round_items,
    table::{Change, Table, Written},
};

const URL: &str = "callback_url";
const EVENT: &str = "callback_event";
const STATE: &str = "callback_state";
const CREATED_AT: &str = "callback_created_at";
const ATTEMPTS: &str = "callback_attempts";

/// Most attempts that are kept, the last ones: a schedule has fewer, but a redelivery by hand may
/// be asked for without end, and the item is written whole each time.
const MAX_ATTEMPTS: usize = 50;

/// Callbacks, each in the item of its round.
pub(super) struct DynamoCallbacks {
    table: Table,
}

/// An attempt in the set of them: the number makes equal ones two, and a repeated write one.
#[derive(Serialize, Deserialize)]
struct Logged {
    #[serde(flatten)]
    attempt: CallbackAttempt,
    number: u64,
}

impl DynamoCallbacks {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Keeps the last attempts of those in `item`.
    async fn forget_old_attempts(&self, key: RoundKey, item: &Item) -> PortResult<()> {
        let mut logged = read_attempts(item)?;
        let Some(excess @ 1..) = logged.len().checked_sub(MAX_ATTEMPTS) else { return Ok(()) };
        logged.truncate(excess);
        let old = logged.into_iter().map(|(_, json)| json).collect();
        let change = Change::of(round_key(key), "DELETE callback_attempts :old")
            .value(":old", AttributeValue::Ss(old));
        self.table.change(LOGGING, change).await.map(drop)
    }
}

const LOGGING: &str = "logging an attempt";

#[async_trait]
impl Callbacks for DynamoCallbacks {
    /// Three write units for each.
    async fn claim_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Callback>> {
        let claimed = due::claim(&self.table, Kind::Callback, now, until, limit).await?;
        claimed.iter().filter_map(|item| read(item).transpose()).collect()
    }

    /// One write unit for each kilobyte of the round, its callback and the attempts, and one or two
    /// for the index.
    async fn attempted(
        &self,
        id: CallbackId,
        claim: Timestamp,
        attempt: &CallbackAttempt,
        (state, due_at): (CallbackState, Option<Timestamp>),
    ) -> PortResult<()> {
        let key = RoundKey { request: id.request, round: id.round };
        let logged = Logged { attempt: attempt.clone(), number: rand::random() };
        let json =
            serde_json::to_string(&logged).map_err(|error| PortError::permanent(LOGGING, error))?;
        let log = AttributeValue::Ss(vec![json]);
        let set = match due_at {
            Some(_) => "SET callback_state = :state, due_at = :due_at, due_from = :due_at",
            None => "SET callback_state = :state REMOVE due_at, due_from, due_shard",
        };
        let mut change = Change::of(round_key(key), format!("{set} ADD callback_attempts :log"))
            .only_if("attribute_exists(callback_url) AND due_at = :claim")
            .value(":state", text(state.to_string()))
            .value(":claim", nanos(claim))
            .value(":log", log.clone())
            .returning(ReturnValue::AllNew);
        if let Some(due_at) = due_at {
            change = change.value(":due_at", nanos(due_at));
        }
        let mut written = self.table.change(LOGGING, change).await?;
        if !written.is_done() {
            let only_log = Change::of(round_key(key), "ADD callback_attempts :log")
                .only_if("attribute_exists(callback_url)")
                .value(":log", log)
                .returning(ReturnValue::AllNew);
            written = self.table.change(LOGGING, only_log).await?;
        }
        match written {
            Written::Done(item) => self.forget_old_attempts(key, &item).await,
            Written::Refused(_) => {
                Err(PortError::permanent(LOGGING, format!("there is no callback {id}")))
            }
        }
    }

    /// Three write units.
    async fn release(&self, id: CallbackId, claim: Timestamp, due_at: Timestamp) -> PortResult<()> {
        let key = RoundKey { request: id.request, round: id.round };
        let change = Change::of(round_key(key), "SET due_at = :due_at, due_from = :due_at")
            .only_if("callback_state = :pending AND due_at = :claim")
            .value(":due_at", nanos(due_at))
            .value(":pending", text(CallbackState::Pending.to_string()))
            .value(":claim", nanos(claim));
        self.table.change("releasing a callback", change).await.map(drop)
    }

    async fn pending_count(&self) -> PortResult<u64> {
        due::count(&self.table, Kind::Callback).await
    }

    async fn of_request(&self, request: RequestId) -> PortResult<Vec<Callback>> {
        let items = round_items(&self.table, "reading a request's callbacks", request).await?;
        items.iter().filter_map(|item| read(item).transpose()).collect()
    }

    /// Two or three write units.
    async fn redeliver(&self, id: CallbackId, now: Timestamp) -> PortResult<bool> {
        let key = RoundKey { request: id.request, round: id.round };
        let set =
            "SET callback_state = :pending, due_at = :now, due_from = :now, due_shard = :shard";
        let change = Change::of(round_key(key), set)
            .only_if("attribute_exists(callback_url)")
            .value(":pending", text(CallbackState::Pending.to_string()))
            .value(":now", nanos(now))
            .value(":shard", Kind::Callback.shard_of(id.request));
        Ok(self.table.change("redelivering a callback", change).await?.is_done())
    }
}

/// The attributes of a callback in the item of its round.
pub(super) fn attributes(callback: &Callback) -> PortResult<Item> {
    let mut attributes = item([
        (URL, text(&callback.url)),
        (EVENT, document(&callback.event)?),
        (STATE, text(callback.state.to_string())),
        (CREATED_AT, nanos(callback.created_at)),
    ]);
    if let Some(due_at) = callback.due_at {
        attributes.extend(due(Kind::Callback, callback.id.request, due_at));
    }
    Ok(attributes)
}

/// The callback of a round's item, if it has one.
fn read(item: &Item) -> PortResult<Option<Callback>> {
    if !item.contains_key(URL) {
        return Ok(None);
    }
    Ok(Some(Callback {
        id: CallbackId { request: request_of(item)?, round: last_number(item)? },
        url: read_text(item, URL)?.to_owned(),
        event: read_document(item, EVENT)?,
        state: read_text(item, STATE)?.parse().map_err(|error| damaged(STATE, error))?,
        due_at: read_time(item, DUE_AT)?,
        created_at: read_time(item, CREATED_AT)?.ok_or_else(|| damaged(CREATED_AT, "missing"))?,
        attempts: read_attempts(item)?.into_iter().map(|(logged, _)| logged.attempt).collect(),
    }))
}

/// The attempts of a callback with their JSON, the oldest first.
fn read_attempts(item: &Item) -> PortResult<Vec<(Logged, String)>> {
    let Some(AttributeValue::Ss(set)) = item.get(ATTEMPTS) else { return Ok(Vec::new()) };
    let mut logged = Vec::with_capacity(set.len());
    for json in set {
        let one: Logged = serde_json::from_str(json).map_err(|error| damaged(ATTEMPTS, error))?;
        logged.push((one, json.clone()));
    }
    logged.sort_by_key(|(one, _)| (one.attempt.at, one.number));
    Ok(logged)
}
