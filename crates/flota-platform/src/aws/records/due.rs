//! What is due some day: open rounds and pending callbacks, found by a sparse index.
//!
//! An item that is due stands in the index under one of [`SHARDS`] keys of its kind, sorted by
//! `due_from`, which is never later than its true `due_at`. It may be earlier: to look at an item
//! too early costs a read, to move it in the index two write units. The index lags behind the
//! table and only names candidates; what decides is a condition on the item itself.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use flota_core::{PortResult, RequestId, RoundKey};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::time;

use super::{
    batches::Query,
    columns::{Item, item, nanos, read_number, read_time, text},
    keys::{last_number, request_of, round_key, writer},
    table::{Change, Table, Written},
};
use crate::aws::tables::requests::{DUE_FROM, DUE_INDEX, DUE_SHARD};

/// When an item is due.
pub(super) const DUE_AT: &str = "due_at";
/// The one call that claimed an item last; several may claim it until the same time.
const CLAIMED_BY: &str = "claimed_by";

/// Parts of the index of one kind. A part takes 1,000 write units in a second, and each request
/// writes to its part about four times.
const SHARDS: u8 = 16;
/// Candidates that are looked at together.
const LOOK: usize = 256;
/// How often one call looks: where most candidates are not due yet, those behind them are to be
/// found too, but a claim is to end before it is over.
const MAX_LOOKS: usize = 8;
/// Writes under way at once.
const WRITES_AT_ONCE: usize = 8;
/// How long a look that has found something waits for the next part: one slow call is not to hold
/// up the others, or each claim would be over before it is made.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An open round.
    Round,
    /// A pending callback; it stands in the item of its round, which is finished.
    Callback,
}

impl Kind {
    fn shard(self, shard: u8) -> AttributeValue {
        let kind = match self {
            Self::Round => "round",
            Self::Callback => "callback",
        };
        text(format!("{kind}-{shard:02}"))
    }

    /// The part of the index in which an item of this request stands.
    pub(super) fn shard_of(self, request: RequestId) -> AttributeValue {
        // The last bits of a UUIDv7 are random.
        self.shard(request.0.as_bytes()[15] % SHARDS)
    }
}

/// The attributes of an item that is due at `due_at`.
pub(super) fn due(kind: Kind, request: RequestId, due_at: Timestamp) -> Item {
    let shard = kind.shard_of(request);
    item([(DUE_AT, nanos(due_at)), (DUE_FROM, nanos(due_at)), (DUE_SHARD, shard)])
}

/// Takes up to `limit` items that are due at `now` and makes each due again at `next`. Three write
/// units for each, and three where one was looked at too early; where nothing is due, half a read
/// unit for each shard.
pub(super) async fn claim(
    table: &Table,
    kind: Kind,
    now: Timestamp,
    next: Timestamp,
    limit: usize,
) -> PortResult<Vec<Item>> {
    let mut claimed = Vec::new();
    for _ in 0..MAX_LOOKS {
        match claim_some(table, kind, (now, next), limit, &mut claimed).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if claimed.is_empty() => return Err(error),
            // What is claimed is to be done before the claim ends.
            Err(error) => {
                tracing::warn!(%error, ?kind, "not all that is due could be claimed");
                break;
            }
        }
    }
    Ok(claimed)
}

/// Looks once and adds to `claimed` what it could claim, up to `limit`. True if there may be more.
async fn claim_some(
    table: &Table,
    kind: Kind,
    (now, next): (Timestamp, Timestamp),
    limit: usize,
    claimed: &mut Vec<Item>,
) -> PortResult<bool> {
    let candidates = candidates(table, kind, now).await?;
    let keys = candidates.iter().map(|key| round_key(*key)).collect();
    let (mut due, mut early) = (Vec::new(), Vec::new());
    for item in table.get_many(CLAIMING, keys).await? {
        match read_time(&item, DUE_AT)? {
            Some(due_at) if due_at <= now => due.push((due_at, key_of(&item)?)),
            Some(_) => early.push(postpone(table, kind, key_of(&item)?, now)),
            None => {}
        }
    }
    due.sort();
    due.truncate(limit - claimed.len());
    let claims: Vec<_> =
        due.into_iter().map(|(_, key)| claim_one(table, kind, key, now, next)).collect();
    let mut claims = stream::iter(claims).buffered(WRITES_AT_ONCE);
    let mut failure = None;
    while let Some(claim) = claims.next().await {
        match claim {
            Ok(item) => claimed.extend(item),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    stream::iter(early).buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
    Ok(claimed.len() < limit && candidates.len() == LOOK)
}

/// How many items of a kind will be due some day: half a read unit for each shard and for each 4 KB
/// of keys.
pub(super) async fn count(table: &Table, kind: Kind) -> PortResult<u64> {
    let counts = (0..SHARDS).map(|shard| {
        let values = item([(":shard", kind.shard(shard))]);
        let query = Query { index: Some(DUE_INDEX), ..Query::all("due_shard = :shard", values) };
        table.count("counting what is due", query)
    });
    let counts = stream::iter(counts.collect::<Vec<_>>()).buffer_unordered(SHARDS.into());
    counts.try_fold(0, async |sum, count| Ok(sum + count)).await
}

const CLAIMING: &str = "claiming what is due";

/// Up to [`LOOK`] items that the index has as due at `now`, the longest due first. Where
/// something is due, a part that fails or is late is left to the next look.
async fn candidates(table: &Table, kind: Kind, now: Timestamp) -> PortResult<Vec<RoundKey>> {
    let shards = (0..SHARDS).map(|shard| {
        let values = item([(":shard", kind.shard(shard)), (":now", nanos(now))]);
        let condition = "due_shard = :shard AND due_from <= :now";
        let query = Query { index: Some(DUE_INDEX), limit: LOOK, ..Query::all(condition, values) };
        table.query("looking for what is due", query)
    });
    let mut answers = stream::iter(shards).buffer_unordered(SHARDS.into());
    let (mut due, mut failure, mut max_delay) = (Vec::new(), None, Duration::MAX);
    while let Ok(Some(answer)) = time::timeout(max_delay, answers.next()).await {
        match answer {
            Ok(items) => {
                for item in items {
                    due.push((read_number::<i128>(&item, DUE_FROM)?, key_of(&item)?));
                }
            }
            Err(error) => failure = Some(error),
        }
        if !due.is_empty() {
            max_delay = MAX_DELAY;
        }
    }
    match failure {
        Some(error) if due.is_empty() => return Err(error),
        Some(error) => tracing::warn!(%error, ?kind, "a part of what is due cannot be looked at"),
        None => {}
    }
    due.sort();
    Ok(due.into_iter().map(|(_, key)| key).take(LOOK).collect())
}

async fn claim_one(
    table: &Table,
    kind: Kind,
    key: RoundKey,
    now: Timestamp,
    next: Timestamp,
) -> PortResult<Option<Item>> {
    let claimer = writer();
    let set = "SET due_at = :next, due_from = :next, claimed_by = :claimer";
    let change = Change::of(round_key(key), set)
        .only_if("due_shard = :shard AND due_at <= :now")
        .value(":claimer", claimer.clone())
        .value(":shard", kind.shard_of(key.request))
        .value(":now", nanos(now))
        .value(":next", nanos(next))
        .returning(ReturnValue::AllNew);
    Ok(match table.change(CLAIMING, change).await? {
        Written::Done(item) => Some(item),
        // Ours, of which the answer got lost: otherwise nobody would do it until the claim ends.
        Written::Refused(Some(item)) if item.get(CLAIMED_BY) == Some(&claimer) => Some(item),
        Written::Refused(_) => None,
    })
}

/// Moves an item that is not due yet to its place in the index.
async fn postpone(table: &Table, kind: Kind, key: RoundKey, now: Timestamp) -> PortResult<()> {
    let change = Change::of(round_key(key), "SET due_from = due_at")
        .only_if("due_shard = :shard AND due_at > :now AND due_from <= :now")
        .value(":shard", kind.shard_of(key.request))
        .value(":now", nanos(now));
    table.change("looking for what is due", change).await.map(drop)
}

fn key_of(item: &Item) -> PortResult<RoundKey> {
    Ok(RoundKey { request: request_of(item)?, round: last_number(item)? })
}
