use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use flota_core::{
    ModelName, PortResult, Replay, ReplayId,
    ports::{ReplayStart, Replays},
};
use jiff::Timestamp;

use super::{
    batches::Query,
    columns::{Item, damaged, document, item, number, read_document, read_text, text},
    keys::{WRITTEN_BY, writer},
    table::{Table, Written},
};
use crate::aws::tables::dead_letters::{AGE_INDEX, LIST, LISTED_AT, PARTITION};

const DOCUMENT: &str = "document";
const REVISION: &str = "replay_revision";
const RUNNING_REPLAY: &str = "running_replay";

/// The list of all replays.
const ALL: &str = "replay";
/// The list of the models' running ones.
const RUNNING: &str = "replay-running";
/// How many are looked at together.
const PAGE: usize = 100;

const STARTING: &str = "starting a replay";
const LISTING: &str = "listing replays";
const UPDATING: &str = "keeping a replay's progress";

/// Replays, in the table of dead letters. One more item for each model names the one that runs.
pub(super) struct DynamoReplays {
    table: Table,
}

impl DynamoReplays {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Up to [`PAGE`] replays with ids before `before`, the newest first; empty at the end.
    async fn page(&self, before: &str) -> PortResult<Vec<Replay>> {
        let values = item([(":list", text(ALL)), (":before", text(before))]);
        let condition = "list_shard = :list AND listed_at < :before";
        let index = Some(AGE_INDEX);
        let query =
            Query { index, is_descending: true, limit: PAGE, ..Query::all(condition, values) };
        let found = self.table.query(LISTING, query).await?;
        let mut replays = self.read_all(&found).await?;
        replays.sort_by_key(|replay| std::cmp::Reverse(replay.id));
        Ok(replays)
    }

    /// The replays that items of a list name.
    async fn read_all(&self, listed: &[Item]) -> PortResult<Vec<Replay>> {
        let ids = listed.iter().map(|item| read_text(item, LISTED_AT));
        let keys = ids.map(|id| Ok(key_of(id?))).collect::<PortResult<_>>()?;
        let items = self.table.get_many(LISTING, keys).await?;
        items.iter().map(|item| read_document(item, DOCUMENT)).collect()
    }

    /// Writes `replay` over the revision before its own, if that one runs; one that has ended makes
    /// room for the next of its model in the same transaction. Two write units for each kilobyte.
    async fn write(&self, replay: &Replay) -> PortResult<bool> {
        let writer = writer();
        let mut values = item([
            (":new", document(replay)?),
            (":writer", writer.clone()),
            (":revision", number(replay.revision)),
            (":before", number(replay.revision.saturating_sub(1))),
        ]);
        let mut set =
            "SET document = :new, replay_revision = :revision, written_by = :writer".to_owned();
        if !replay.is_running() {
            set.push_str(", has_ended = :true");
            values.insert(":true".to_owned(), AttributeValue::Bool(true));
        }
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(key_of(&replay.id.to_string())))
            .update_expression(set)
            .condition_expression("replay_revision = :before AND attribute_not_exists(has_ended)")
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = update.build().expect("table, key and expression are set");
        let mut writes = vec![TransactWriteItem::builder().update(update).build()];
        if !replay.is_running() {
            let room = Delete::builder()
                .table_name(&self.table.name)
                .set_key(Some(running_key(&replay.model)))
                .condition_expression("running_replay = :replay")
                .expression_attribute_values(":replay", text(replay.id.to_string()));
            let room = room.build().expect("table and key are set");
            writes.push(TransactWriteItem::builder().delete(room).build());
        }
        Ok(match self.table.transact(UPDATING, writes).await? {
            Written::Done(_) => true,
            // An answer that was lost: the first try did it.
            Written::Refused(kept) => {
                kept.is_some_and(|item| item.get(WRITTEN_BY) == Some(&writer))
            }
        })
    }
}

#[async_trait]
impl Replays for DynamoReplays {
    async fn start(&self, replay: &Replay) -> PortResult<ReplayStart> {
        let id = replay.id.to_string();
        let mut running = running_key(&replay.model);
        running.extend(item([
            (RUNNING_REPLAY, text(&id)),
            (LIST, text(RUNNING)),
            (LISTED_AT, text(&id)),
        ]));
        let mut whole = key_of(&id);
        whole.extend(item([
            (DOCUMENT, document(replay)?),
            (REVISION, number(replay.revision)),
            (LIST, text(ALL)),
            (LISTED_AT, text(&id)),
        ]));
        let writes = [running, whole].map(|item| {
            let put = Put::builder()
                .table_name(&self.table.name)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(letter_id)")
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            let put = put.build().expect("table and item are set");
            TransactWriteItem::builder().put(put).build()
        });
        let running = match self.table.transact(STARTING, writes.into()).await? {
            Written::Done(_) => return Ok(ReplayStart::Started),
            Written::Refused(running) => running.unwrap_or_default(),
        };
        let running = read_text(&running, RUNNING_REPLAY)?.parse();
        let running: ReplayId = running.map_err(|error| damaged(RUNNING_REPLAY, error))?;
        // An answer that was lost: the first try did it.
        let is_this = running == replay.id;
        Ok(if is_this { ReplayStart::Started } else { ReplayStart::Running(running) })
    }

    async fn get(&self, id: ReplayId) -> PortResult<Option<Replay>> {
        let item = self.table.get("reading a replay", key_of(&id.to_string())).await?;
        item.map(|item| read_document(&item, DOCUMENT)).transpose()
    }

    async fn list(&self, model: Option<&ModelName>, limit: usize) -> PortResult<Vec<Replay>> {
        let mut found = Vec::new();
        // Behind every id.
        let mut before = "~".to_owned();
        while found.len() < limit {
            let page = self.page(&before).await?;
            let Some(last) = page.last() else { break };
            before = last.id.to_string();
            let is_wanted = |replay: &Replay| model.is_none_or(|model| replay.model == *model);
            found.extend(page.into_iter().filter(is_wanted));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn claim(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Replay>> {
        let values = item([(":list", text(RUNNING))]);
        let query = Query { index: Some(AGE_INDEX), ..Query::all("list_shard = :list", values) };
        let running = self.table.query(LISTING, query).await?;
        let mut replays = self.read_all(&running).await?;
        replays.retain(|replay| replay.is_running() && replay.claimed_until <= now);
        replays.sort_by_key(|replay| replay.id);
        let mut claimed = Vec::new();
        for mut replay in replays {
            if claimed.len() == limit {
                break;
            }
            replay.claimed_until = until;
            replay.revision += 1;
            if self.write(&replay).await? {
                claimed.push(replay);
            }
        }
        Ok(claimed)
    }

    async fn update(&self, replay: &Replay) -> PortResult<bool> {
        let revision = replay.revision + 1;
        self.write(&Replay { revision, ..replay.clone() }).await
    }
}

fn key_of(id: &str) -> Item {
    item([(PARTITION, text(id))])
}

fn running_key(model: &ModelName) -> Item {
    key_of(&format!("running#{model}"))
}
