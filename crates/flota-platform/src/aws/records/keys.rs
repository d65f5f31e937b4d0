//! What names the items of the table of requests. Numbers have one length, so that keys sort as
//! they do.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use flota_core::{PackKey, PortResult, RequestId, RoundKey, TaskId, ports::IdempotencyKey};
use jiff::Timestamp;

use super::columns::{Item, damaged, item, number, read_text, text};
use crate::aws::tables::{
    EXPIRES_AT,
    requests::{PARTITION, SORT},
};

/// The sort key of the request itself, which stands before that of its first round.
pub(super) const REQUEST: &str = "request";
/// What the sort keys of rounds begin with.
pub(super) const ROUNDS: &str = "round#";

/// Who made an item: an answer that is lost is asked for again, and the second try is to see that
/// the first one did it.
pub(super) const WRITTEN_BY: &str = "written_by";

/// A value of [`WRITTEN_BY`] that nobody else has.
pub(super) fn writer() -> AttributeValue {
    text(format!("{:016x}", rand::random::<u64>()))
}

/// The key of a request's document.
pub(super) fn request_key(id: RequestId) -> Item {
    item([(PARTITION, text(id.to_string())), (SORT, text(REQUEST))])
}

/// The key of a round, and of the callback that it makes.
pub(super) fn round_key(key: RoundKey) -> Item {
    item([(PARTITION, text(key.request.to_string())), (SORT, text(round_sort(key.round)))])
}

/// The sort key of a round.
pub(super) fn round_sort(round: u32) -> String {
    format!("{ROUNDS}{round:010}")
}

/// The key of a pack.
pub(super) fn pack_key(key: PackKey) -> Item {
    item([(PARTITION, text(key.round.request.to_string())), (SORT, text(pack_sort(key)))])
}

/// The sort key of a pack.
pub(super) fn pack_sort(key: PackKey) -> String {
    format!("{}{:010}", packs_prefix(key.round.round), key.pack)
}

/// What the sort keys of a round's packs begin with.
pub(super) fn packs_prefix(round: u32) -> String {
    format!("pack#{round:010}#")
}

/// The key of a task's counted attempts in a round.
pub(super) fn attempts_key(task: TaskId, round: u32) -> Item {
    let sort = format!("attempts#{round:010}#{:010}", task.n);
    // Tasks of upload events have the partition of a request with their id, as programs before this one wrote it.
    let partition = RequestId(task.source.uuid()).to_string();
    item([(PARTITION, text(partition)), (SORT, text(sort))])
}

/// The key of what was submitted under a client's key.
pub(super) fn submission_key(by: &IdempotencyKey) -> Item {
    // No client has a slash in its name.
    let partition = format!("key_{}/{}", by.client, by.key);
    item([(PARTITION, text(partition)), (SORT, text("submission"))])
}

/// The number at the end of an item's sort key.
pub(super) fn last_number(item: &Item) -> PortResult<u32> {
    let number = read_text(item, SORT)?.rsplit('#').next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| damaged(SORT, "no number ends it"))
}

/// The request in whose partition an item is.
pub(super) fn request_of(item: &Item) -> PortResult<RequestId> {
    read_text(item, PARTITION)?.parse().map_err(|error| damaged(PARTITION, error))
}

/// When what is written `now` in the partition of a request may be deleted: its id tells when it was
/// submitted, and a replay may write long after that. `None` where it is kept for good.
pub(super) fn expiry(
    id: RequestId,
    kept_for: Option<Duration>,
    now: Timestamp,
) -> Option<AttributeValue> {
    let (submitted_at, _) = id.0.get_timestamp()?.to_unix();
    let since = submitted_at.max(u64::try_from(now.as_second()).unwrap_or_default());
    Some(number(since.saturating_add(kept_for?.as_secs())))
}

/// The key of an item.
pub(super) fn key_of(item: &Item) -> Item {
    let is_key = |name: &String| [PARTITION, SORT].contains(&name.as_str());
    let key = item.iter().filter(|(name, _)| is_key(name));
    key.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Adds the time when an item may be deleted.
pub(super) fn with_expiry(mut item: Item, expiry: Option<AttributeValue>) -> Item {
    item.extend(expiry.map(|at| (EXPIRES_AT.to_owned(), at)));
    item
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_do() {
        let request = RequestId(Uuid::from_u128(1));
        let sort = |item: Item| read_text(&item, SORT).unwrap().to_owned();
        let round = |round| sort(round_key(RoundKey { request, round }));
        let whole = sort(request_key(request));
        assert!(whole < round(1) && round(2) < round(10) && round(10) < round(u32::MAX));
        let pack = |pack| sort(pack_key(PackKey { round: RoundKey { request, round: 1 }, pack }));
        assert!(pack(9) < pack(10));
        assert!(pack(0).starts_with(&packs_prefix(1)) && !pack(0).starts_with(&packs_prefix(10)));
        let item = round_key(RoundKey { request, round: 7 });
        assert_eq!((last_number(&item).unwrap(), request_of(&item).unwrap()), (7, request));
    }

    #[test]
    fn a_request_expires_so_long_after_it_was_submitted_or_replayed() {
        let submitted_at = uuid::Timestamp::from_unix(uuid::NoContext, 1_800_000_000, 0);
        let id = RequestId(Uuid::new_v7(submitted_at));
        let day = Duration::from_secs(86_400);
        let at = |second| Timestamp::from_second(second).unwrap();
        let (early, late) = (at(1_799_999_999), at(1_900_000_000));
        assert_eq!(expiry(id, Some(day), early), Some(number(1_800_086_400_u64)));
        assert_eq!(expiry(id, Some(day), late), Some(number(1_900_086_400_u64)));
        assert_eq!(expiry(id, None, late), None);
    }
}
