use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use flota_core::{
    Counts, Pack, PackKey, PackRecord, PortResult, Request, RequestId, Resend, Round, RoundKey,
    TaskId, TaskOutcome,
    ports::{Accept, Accepted, Clock, Finish, Recorded, Requests},
};
use jiff::Timestamp;

use super::{
    accept,
    batches::Query,
    columns::{Item, item, number, read_document, read_number, text},
    due::{self, Kind},
    keys::{
        REQUEST, ROUNDS, WRITTEN_BY, attempts_key, expiry, key_of, round_key, round_sort,
        with_expiry, writer,
    },
    packs, rounds,
    table::{Change, Table, Written},
};
use crate::SystemClock;

/// The attribute that holds the request.
pub(super) const DOCUMENT: &str = "document";
const ATTEMPT_COUNT: &str = "attempt_count";

/// Requests with their rounds and packs.
pub(super) struct DynamoRequests {
    table: Table,
    kept_for: Option<Duration>,
}

impl DynamoRequests {
    pub(super) fn new(table: Table, kept_for: Option<Duration>) -> Self {
        Self { table, kept_for }
    }

    /// Has all that there is of a request stay until `expiry`.
    async fn keep_on(
        &self,
        what: &str,
        request: RequestId,
        expiry: &AttributeValue,
    ) -> PortResult<()> {
        let values = item([(":request", text(request.to_string()))]);
        for item in self.table.query(what, Query::all("request_id = :request", values)).await? {
            let change = Change::of(key_of(&item), "SET expires_at = :expiry")
                .only_if("attribute_exists(request_id)")
                .value(":expiry", expiry.clone());
            self.table.change(what, change).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Requests for DynamoRequests {
    async fn accept(&self, accept: &Accept) -> PortResult<Accepted> {
        accept::accept(&self.table, self.kept_for, accept).await
    }

    /// A request is kept once its first round is: one read sees both.
    async fn request(&self, id: RequestId) -> PortResult<Option<Request>> {
        let values = item([
            (":request", text(id.to_string())),
            (":first", text(REQUEST)),
            (":last", text(round_sort(1))),
        ]);
        let condition = "request_id = :request AND item_key BETWEEN :first AND :last";
        let found = self.table.query("reading a request", Query::all(condition, values)).await?;
        match &found[..] {
            [request, _round] => read_document(request, DOCUMENT).map(Some),
            _ => Ok(None),
        }
    }

    async fn rounds(&self, id: RequestId) -> PortResult<Vec<Round>> {
        let items = round_items(&self.table, "reading a request's rounds", id).await?;
        items.iter().map(rounds::read).collect()
    }

    async fn pack(&self, key: PackKey) -> PortResult<PackRecord> {
        packs::pack(&self.table, key).await
    }

    async fn packs(&self, key: RoundKey) -> PortResult<Vec<(u32, PackRecord)>> {
        packs::packs(&self.table, key).await
    }

    async fn outcomes(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Vec<TaskOutcome>> {
        packs::outcomes(&self.table, key, packs).await
    }

    /// One read unit for the round, and one for each four kilobytes of its incomplete packs.
    async fn counts(&self, key: RoundKey, packs: &[Pack]) -> PortResult<Counts> {
        let Some((ended, mut counts)) = rounds::ended(&self.table, key, packs).await? else {
            // It was begun by a version that did not count.
            return packs::counts(&self.table, key, packs).await;
        };
        let others = packs.iter().filter(|pack| !ended.contains(&pack.index));
        let others: Vec<Pack> = others.cloned().collect();
        counts += packs::counts(&self.table, key, &others).await?;
        Ok(counts)
    }

    async fn record(&self, key: PackKey, outcomes: &[TaskOutcome]) -> PortResult<Recorded> {
        let expiry = expiry(key.round.request, self.kept_for, SystemClock.now());
        packs::record(&self.table, key, outcomes, expiry).await
    }

    async fn complete_pack(&self, key: PackKey, ended: Counts) -> PortResult<Round> {
        rounds::complete_pack(&self.table, key, ended).await
    }

    async fn finish(&self, finish: &Finish) -> PortResult<bool> {
        rounds::finish(&self.table, finish).await
    }

    /// A round that is finished stays so, and none is removed: that the last one is finished may be
    /// read first, and the write need only see that the new one is not there. Two write units, and
    /// where requests expire one for each item of this one.
    async fn open_round(
        &self,
        key: RoundKey,
        tasks: &BTreeSet<u32>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> PortResult<bool> {
        const OPENING: &str = "opening a round";
        let Some(last @ 1..) = key.round.checked_sub(1) else { return Ok(false) };
        let last = self.table.get(OPENING, round_key(RoundKey { round: last, ..key })).await?;
        if !last.is_some_and(|item| rounds::is_finished(&item)) {
            return Ok(false);
        }
        let round = Round {
            key,
            replayed: Some(tasks.clone()),
            complete: BTreeSet::new(),
            due_at: Some(due_at),
            opened_at: now,
            finished_at: None,
        };
        let writer = writer();
        let item = rounds::open_item(&round, due_at, &writer)?;
        let expiry = expiry(key.request, self.kept_for, now);
        if let Some(expiry) = &expiry {
            self.keep_on(OPENING, key.request, expiry).await?;
        }
        let item = with_expiry(item, expiry);
        let absent = Some("attribute_not_exists(request_id)");
        Ok(match self.table.put(OPENING, &item, absent).await? {
            Written::Done(_) => true,
            Written::Refused(found) => {
                found.is_some_and(|item| item.get(WRITTEN_BY) == Some(&writer))
            }
        })
    }

    async fn claim_overdue(
        &self,
        now: Timestamp,
        next: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Round>> {
        let claimed = due::claim(&self.table, Kind::Round, now, next, limit).await?;
        claimed.iter().map(rounds::read).collect()
    }

    async fn set_due(&self, key: RoundKey, due_at: Timestamp) -> PortResult<()> {
        rounds::set_due(&self.table, key, due_at).await
    }

    async fn set_resent(&self, key: PackKey, resend: Resend) -> PortResult<()> {
        let expiry = expiry(key.round.request, self.kept_for, SystemClock.now());
        packs::set_resent(&self.table, key, resend, expiry).await
    }

    /// One write unit. An answer that is lost counts one more: the limits are generous.
    async fn count_attempt(&self, task: TaskId, round: u32) -> PortResult<u32> {
        let expiry = expiry(RequestId(task.source.uuid()), self.kept_for, SystemClock.now());
        let set = if expiry.is_some() { "SET expires_at = :expiry " } else { "" };
        let mut change =
            Change::of(attempts_key(task, round), format!("{set}ADD attempt_count :one"))
                .value(":one", number(1))
                .returning(ReturnValue::AllNew);
        if let Some(expiry) = expiry {
            change = change.value(":expiry", expiry);
        }
        match self.table.change("counting an attempt", change).await? {
            Written::Done(item) => Ok(read_number(&item, ATTEMPT_COUNT)?.unwrap_or(0)),
            Written::Refused(_) => unreachable!("there is no condition"),
        }
    }

    async fn attempts(&self, task: TaskId, round: u32) -> PortResult<u32> {
        let item = self.table.get("reading attempts", attempts_key(task, round)).await?;
        Ok(item.map_or(Ok(None), |item| read_number(&item, ATTEMPT_COUNT))?.unwrap_or(0))
    }
}

/// The items of a request's rounds, the first first.
pub(super) async fn round_items(
    table: &Table,
    what: &str,
    request: RequestId,
) -> PortResult<Vec<Item>> {
    let values = item([(":request", text(request.to_string())), (":rounds", text(ROUNDS))]);
    let condition = "request_id = :request AND begins_with(item_key, :rounds)";
    table.query(what, Query::all(condition, values)).await
}
