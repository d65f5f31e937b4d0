use std::collections::BTreeMap;

use async_trait::async_trait;
use flota_core::{
    DeadLetter, DeadLetterState, PortError, PortResult, Sha256,
    ports::{DeadLetterFilter, DeadLetterPage, DeadLetters},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    batches::Query,
    columns::{Item, document, item, read_document, read_text, text},
    table::{Change, MAX_SENDS, Table},
};
use crate::aws::tables::dead_letters::{AGE_INDEX, LIST, LISTED_AT, PARTITION};

const DOCUMENT: &str = "document";
const STATE: &str = "letter_state";

/// Parts of each list, so that an incident that leaves thousands a second is not held up by one.
const SHARDS: u8 = 16;
/// How many are looked at together.
const PAGE: usize = 100;
/// How many are looked at in one call at most.
const MAX_LOOKED_AT: usize = 1_000;

/// What stands before every place in a list, and behind.
const BEGIN: &str = " ";
const END: &str = "~";

/// Dead letters: by id, and by age in a list of the open ones and one of the others.
pub(super) struct DynamoDeadLetters {
    table: Table,
}

impl DynamoDeadLetters {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// The ids of up to [`PAGE`] dead letters in the wanted lists from the place `from` to `to`,
    /// each with its place.
    async fn places(
        &self,
        include_resolved: bool,
        from: &str,
        to: &str,
    ) -> PortResult<BTreeMap<String, String>> {
        let lists = if include_resolved { &["open", "decided"][..] } else { &["open"] };
        let mut shards = Vec::new();
        for list in lists {
            shards.extend((0..SHARDS).map(|shard| list_shard(list, shard)));
        }
        let queries: Vec<_> =
            shards.into_iter().map(|shard| self.shard_places(shard, from, to)).collect();
        let found: Vec<Vec<Item>> =
            stream::iter(queries).buffer_unordered(SHARDS.into()).try_collect().await?;
        let mut places = BTreeMap::new();
        for item in found.into_iter().flatten() {
            let place = read_text(&item, LISTED_AT)?.to_owned();
            places.insert(place, read_text(&item, PARTITION)?.to_owned());
        }
        Ok(places.into_iter().take(PAGE).collect())
    }

    async fn shard_places(&self, list: String, from: &str, to: &str) -> PortResult<Vec<Item>> {
        let values = item([(":list", text(list)), (":from", text(from)), (":to", text(to))]);
        let condition = "list_shard = :list AND listed_at BETWEEN :from AND :to";
        let query = Query { index: Some(AGE_INDEX), limit: PAGE, ..Query::all(condition, values) };
        self.table.query(LISTING, query).await
    }

    /// The dead letters in `places`, in their order. What is in the index and not any more in the
    /// table is left out.
    async fn letters(&self, places: &BTreeMap<String, String>) -> PortResult<Vec<DeadLetter>> {
        let keys = places.values().map(|id| key_of(id)).collect();
        let items = self.table.get_many(LISTING, keys).await?;
        let mut letters = items.iter().map(read).collect::<PortResult<Vec<_>>>()?;
        letters.sort_by_cached_key(place);
        Ok(letters)
    }
}

const LISTING: &str = "listing dead letters";
const NOTING: &str = "noting how a replay ended";

#[async_trait]
impl DeadLetters for DynamoDeadLetters {
    /// One write unit for each kilobyte, and one for the index.
    async fn put(&self, letter: &DeadLetter) -> PortResult<()> {
        let mut item = key_of(&letter.id);
        item.insert(DOCUMENT.to_owned(), document(letter)?);
        item.insert(STATE.to_owned(), document(&letter.state)?);
        item.insert(LIST.to_owned(), text(list_of(&letter.id, letter.is_open())));
        item.insert(LISTED_AT.to_owned(), text(place(letter)));
        let absent = Some("attribute_not_exists(letter_id)");
        self.table.put("keeping a dead letter", &item, absent).await.map(drop)
    }

    async fn get(&self, id: &str) -> PortResult<Option<DeadLetter>> {
        let item = self.table.get("reading a dead letter", key_of(id)).await?;
        item.filter(|item| item.contains_key(STATE)).as_ref().map(read).transpose()
    }

    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<DeadLetterPage> {
        let mut page = DeadLetterPage::default();
        let selection = &filter.selection;
        let mut from = selection.since.map_or_else(|| BEGIN.to_owned(), moment);
        let to = selection.until.map_or_else(|| END.to_owned(), moment);
        if let Some(after) = &filter.after {
            let Some(after) = self.get(after).await? else { return Ok(page) };
            from = from.max(behind(&place(&after)));
        }
        let mut looked_at_count = 0;
        while filter.limit > 0 && from <= to {
            let places = self.places(filter.include_resolved, &from, &to).await?;
            for letter in self.letters(&places).await? {
                looked_at_count += 1;
                let id = letter.id.clone();
                if (filter.include_resolved || letter.is_open()) && selection.contains(&letter) {
                    page.letters.push(letter);
                }
                if page.letters.len() == filter.limit || looked_at_count == MAX_LOOKED_AT {
                    page.next_after = Some(id);
                    return Ok(page);
                }
            }
            match places.last_key_value() {
                Some((last, _)) if places.len() == PAGE => from = behind(last),
                _ => break,
            }
        }
        Ok(page)
    }

    /// Half a read unit for each shard and for each 4 KB of keys.
    async fn open_count(&self) -> PortResult<u64> {
        let counts = (0..SHARDS).map(|shard| {
            let values = item([(":list", text(list_shard("open", shard)))]);
            let query =
                Query { index: Some(AGE_INDEX), ..Query::all("list_shard = :list", values) };
            self.table.count("counting dead letters", query)
        });
        let counts = stream::iter(counts.collect::<Vec<_>>()).buffer_unordered(SHARDS.into());
        counts.try_fold(0, async |sum, count| Ok(sum + count)).await
    }

    /// One write unit for each kilobyte, and two for the index.
    async fn decide(&self, id: &str, state: &DeadLetterState) -> PortResult<bool> {
        let set = "SET letter_state = :state, list_shard = :list";
        let change = Change::of(key_of(id), set)
            .only_if("begins_with(list_shard, :open)")
            .value(":state", document(state)?)
            .value(":list", text(list_of(id, *state == DeadLetterState::Open)))
            .value(":open", text("open-"));
        Ok(self.table.change("deciding about a dead letter", change).await?.is_done())
    }

    async fn replay_ended(&self, id: &str, round: u32, succeeded: bool) -> PortResult<()> {
        for _ in 0..MAX_SENDS {
            let Some(mut letter) = self.get(id).await? else { return Ok(()) };
            let before = document(&letter.state)?;
            if !letter.note_ended(round, succeeded) {
                return Ok(());
            }
            let change = Change::of(key_of(id), "SET letter_state = :state")
                .only_if("letter_state = :before")
                .value(":state", document(&letter.state)?)
                .value(":before", before);
            if self.table.change(NOTING, change).await?.is_done() {
                return Ok(());
            }
        }
        Err(PortError::transient(NOTING, "others kept changing the same dead letter"))
    }
}

fn read(item: &Item) -> PortResult<DeadLetter> {
    let letter: DeadLetter = read_document(item, DOCUMENT)?;
    Ok(DeadLetter { state: read_document(item, STATE)?, ..letter })
}

fn key_of(id: &str) -> Item {
    item([(PARTITION, text(id))])
}

/// The part of a list in which a dead letter stands.
fn list_of(id: &str, is_open: bool) -> String {
    let shard = Sha256::of(id.as_bytes()).as_bytes()[0] % SHARDS;
    list_shard(if is_open { "open" } else { "decided" }, shard)
}

fn list_shard(list: &str, shard: u8) -> String {
    format!("{list}-{shard:02}")
}

/// The place of a dead letter in its list: by its time, then by its id.
fn place(letter: &DeadLetter) -> String {
    format!("{}#{}", moment(letter.created_at), letter.id)
}

/// The first place of a time.
fn moment(time: Timestamp) -> String {
    format!("{:020}", time.as_nanosecond().max(0))
}

/// The first place after another one: no id has a character that sorts before a blank.
fn behind(place: &str) -> String {
    format!("{place} ")
}
