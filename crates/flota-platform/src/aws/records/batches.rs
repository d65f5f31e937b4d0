//! Calls about many items at once.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::{
        query::builders::QueryFluentBuilder, transact_write_items::TransactWriteItemsError,
    },
    types::{
        AttributeValue, CancellationReason, KeysAndAttributes, PutRequest, Select,
        TransactWriteItem, WriteRequest,
    },
};
use flota_core::{PortError, PortResult};

use super::{
    columns::Item,
    table::{COST, MAX_SENDS, Table, Written, pause},
};

/// Most items in one call that reads by keys.
const MAX_GET: usize = 100;
/// Most items in one call that writes without conditions.
const MAX_WRITE: usize = 25;
/// Why a transaction was canceled: a condition did not hold.
const REFUSED: &str = "ConditionalCheckFailed";
/// Why a transaction was canceled although it may succeed when it is sent again; `None` is what
/// DynamoDB says of a write that was not the reason.
const TRANSIENT_REASONS: [&str; 4] =
    ["None", "ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"];

/// A query of one partition, of a table or of its index.
pub(super) struct Query {
    pub(super) index: Option<&'static str>,
    pub(super) condition: &'static str,
    pub(super) values: Item,
    pub(super) is_descending: bool,
    pub(super) limit: usize,
}

impl Query {
    /// All items of the table's partition that `condition` names.
    pub(super) fn all(condition: &'static str, values: Item) -> Self {
        Self { index: None, condition, values, is_descending: false, limit: usize::MAX }
    }
}

impl Table {
    /// Those of the items `keys`, which are distinct, that there are, in any order. What the answer
    /// leaves out, because it is too long or throttled, is asked for again.
    pub(super) async fn get_many(&self, what: &str, keys: Vec<Item>) -> PortResult<Vec<Item>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_GET) {
            let mut left = keys.to_vec();
            let mut sent = 0;
            while !left.is_empty() {
                self.pause_before(what, sent).await?;
                let asked = KeysAndAttributes::builder().set_keys(Some(left.clone()));
                let asked = asked.consistent_read(true).build().expect("the keys are set");
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.name, asked)
                    .return_consumed_capacity(COST)
                    .send()
                    .await
                    .map_err(|error| self.failed(what, error))?;
                let got = answer.responses.and_then(|mut tables| tables.remove(&self.name));
                let unprocessed =
                    answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
                let rest = unprocessed.map_or_else(Vec::new, |rest| rest.keys);
                // An answer that is cut because it is long makes progress, and is no failed send.
                sent = if rest.len() < left.len() { 1 } else { sent + 1 };
                left = rest;
                found.extend(got.into_iter().flatten());
            }
        }
        Ok(found)
    }

    /// Writes `items`, whose keys are distinct, over what is there. What was left over is sent
    /// again.
    pub(super) async fn put_many(&self, what: &str, items: Vec<Item>) -> PortResult<()> {
        for items in items.chunks(MAX_WRITE) {
            let write = |item: &Item| {
                let put = PutRequest::builder().set_item(Some(item.clone())).build();
                WriteRequest::builder().put_request(put.expect("the item is set")).build()
            };
            let mut left: Vec<WriteRequest> = items.iter().map(write).collect();
            let mut sent = 0;
            while !left.is_empty() {
                self.pause_before(what, sent).await?;
                let answer = self
                    .client
                    .batch_write_item()
                    .request_items(&self.name, left)
                    .return_consumed_capacity(COST)
                    .send()
                    .await
                    .map_err(|error| self.failed(what, error))?;
                let rest =
                    answer.unprocessed_items.and_then(|mut tables| tables.remove(&self.name));
                left = rest.unwrap_or_default();
                sent += 1;
            }
        }
        Ok(())
    }

    /// How many items `query` finds: those of its first page, a megabyte of keys, which is some thousands.
    pub(super) async fn count(&self, what: &str, query: Query) -> PortResult<u64> {
        let answer = self.asking(&query).select(Select::Count).send().await;
        let answer = answer.map_err(|error| self.failed(what, error))?;
        Ok(u64::try_from(answer.count).unwrap_or(0))
    }

    /// The items of a query, up to its limit, over as many pages as it takes.
    pub(super) async fn query(&self, what: &str, query: Query) -> PortResult<Vec<Item>> {
        let mut found = Vec::new();
        let mut start: Option<HashMap<String, AttributeValue>> = None;
        while found.len() < query.limit {
            let page = i32::try_from(query.limit - found.len()).ok();
            let answer = self
                .asking(&query)
                .scan_index_forward(!query.is_descending)
                // An index has no consistent reads.
                .consistent_read(query.index.is_none())
                .set_limit(page)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| self.failed(what, error))?;
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The call that answers `query`, but for how much of it.
    fn asking(&self, query: &Query) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .set_index_name(query.index.map(str::to_owned))
            .key_condition_expression(query.condition)
            .set_expression_attribute_values(Some(query.values.clone()))
            .return_consumed_capacity(COST)
    }

    /// Makes all of `writes` or none. What another write was in the way of is sent again. Where a
    /// condition did not hold, the answer has the item that the first write met, if that was its.
    pub(super) async fn transact(
        &self,
        what: &str,
        writes: Vec<TransactWriteItem>,
    ) -> PortResult<Written> {
        let mut sent = 0;
        loop {
            self.pause_before(what, sent).await?;
            sent += 1;
            let answer = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .return_consumed_capacity(COST)
                .send()
                .await;
            let Err(error) = answer else { return Ok(Written::Done(Item::new())) };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
                error.as_service_error()
            else {
                return Err(self.failed(what, error));
            };
            let reasons = canceled.cancellation_reasons();
            let is_refused = |reason: &CancellationReason| reason.code() == Some(REFUSED);
            if reasons.iter().any(is_refused) {
                let first = reasons.first().filter(|reason| is_refused(reason));
                return Ok(Written::Refused(first.and_then(|reason| reason.item.clone())));
            }
            let mut codes = reasons.iter().filter_map(CancellationReason::code);
            if let Some(code) = codes.find(|code| !TRANSIENT_REASONS.contains(code)) {
                let what = format!("{what} in the table {}: {code}", self.name);
                return Err(PortError::permanent(what, error));
            }
        }
    }

    /// Waits before a call is sent again; fails where it was sent often enough.
    async fn pause_before(&self, what: &str, sent: u32) -> PortResult<()> {
        match sent {
            0 => Ok(()),
            1..MAX_SENDS => {
                pause(sent).await;
                Ok(())
            }
            _ => {
                let why = format!("something was left over {MAX_SENDS} times");
                Err(PortError::transient(format!("{what} in the table {}", self.name), why))
            }
        }
    }
}
