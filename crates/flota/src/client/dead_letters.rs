//! Dead letters and their replays.

use flota_core::{DeadLetterSelection, ModelName, ReplayId};
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, Verbatim};

/// Dead letters asked for at once: the most that the API gives.
const PAGE: usize = 200;

/// What is kept of a task whose attempts ran out, or of a message that died.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DeadLetterAnswer {
    /// `dead_…`.
    pub id: String,
    /// Why.
    pub reason: String,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was dead-lettered.
    pub created_at: Timestamp,
    /// `open`, `replayed` or `discarded`.
    pub state: String,
    /// The last error.
    #[serde(default)]
    pub message: String,
    /// The model; none of messages that hold no task.
    pub model: Option<String>,
    /// The image's URL, of a task.
    pub image: Option<String>,
    /// The queue, of a message.
    pub queue: Option<String>,
    /// In a dry run: the code of what keeps it from running now.
    pub refusal: Option<String>,
}

/// How many dead letters there are.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GroupsAnswer {
    /// By model and reason, the largest group first.
    pub groups: Vec<GroupAnswer>,
    /// How many there are.
    pub count: u64,
    /// Whether all were counted.
    pub complete: bool,
    /// In a dry run: the first of them.
    #[serde(default)]
    pub sample: Vec<DeadLetterAnswer>,
}

/// Dead letters of one model and reason.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GroupAnswer {
    /// The model; none of messages that hold no task.
    pub model: Option<ModelName>,
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// When the first of them was dead-lettered.
    pub oldest_at: Timestamp,
    /// When the last of them was dead-lettered.
    pub newest_at: Timestamp,
    /// The last error of the last of them.
    pub message: String,
}

/// Where a replay stands.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReplayAnswer {
    /// The replay.
    pub id: ReplayId,
    /// The model.
    pub model: ModelName,
    /// Who wanted it.
    pub by: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// `running`, `completed` or `stopped`.
    pub state: String,
    /// Why it was stopped.
    pub why: Option<String>,
    /// How far it is.
    pub counts: ReplayCounts,
}

/// How many dead letters of a replay stand where.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct ReplayCounts {
    /// Begun and not ended.
    pub running: u64,
    /// Succeeded.
    pub succeeded: u64,
    /// Failed again.
    pub failed: u64,
    /// Messages that were sent again.
    pub resent: u64,
    /// Left as they are.
    pub skipped: u64,
}

/// A replay to start.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReplayOrder {
    /// Which dead letters.
    #[serde(flatten)]
    pub selection: DeadLetterSelection,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// At most so many in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// The version that is to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_version: Option<String>,
    /// Who wants it.
    pub by: String,
}

#[derive(Deserialize)]
struct LetterPage {
    dead_letters: Vec<Verbatim<DeadLetterAnswer>>,
    next_after: Option<String>,
}

#[derive(Deserialize)]
struct DiscardAnswer {
    discarded_count: u64,
    next_after: Option<String>,
}

#[derive(Deserialize)]
struct ReplayList {
    replays: Vec<Verbatim<ReplayAnswer>>,
}

#[derive(Serialize)]
struct Query<'a> {
    #[serde(flatten)]
    selection: &'a DeadLetterSelection,
    include_resolved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

impl ReplayCounts {
    /// How many are dealt with.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed + self.resent + self.skipped
    }
}

impl Client {
    /// Up to `limit` dead letters, the oldest first.
    pub async fn dead_letters(
        &self,
        selection: &DeadLetterSelection,
        include_resolved: bool,
        limit: usize,
    ) -> anyhow::Result<Vec<Verbatim<DeadLetterAnswer>>> {
        let mut letters = Vec::new();
        let mut after = None;
        while letters.len() < limit {
            let page = Some(PAGE.min(limit - letters.len()));
            let query = Query { selection, include_resolved, after, limit: page };
            let call = self.call(Method::GET, "v1/dead-letters").query(&query);
            let page: LetterPage = self.answer(call).await?;
            letters.extend(page.dead_letters);
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
        Ok(letters)
    }

    /// How many there are, by model and reason.
    pub async fn dead_letter_groups(
        &self,
        selection: &DeadLetterSelection,
        include_resolved: bool,
    ) -> anyhow::Result<Verbatim<GroupsAnswer>> {
        let query = Query { selection, include_resolved, after: None, limit: None };
        self.answer(self.call(Method::GET, "v1/dead-letters/groups").query(&query)).await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, id: &str) -> anyhow::Result<Verbatim<Value>> {
        self.answer(self.call(Method::GET, &format!("v1/dead-letters/{id}"))).await
    }

    /// Runs the task of a dead letter again, or only asks whether it would run.
    pub async fn replay_one(
        &self,
        id: &str,
        by: &str,
        dry_run: bool,
    ) -> anyhow::Result<Verbatim<Value>> {
        let call = self.call(Method::POST, &format!("v1/dead-letters/{id}/replay"));
        self.answer(call.json(&json!({ "by": by, "dry_run": dry_run }))).await
    }

    /// Gives a dead letter up.
    pub async fn discard_one(&self, id: &str, by: &str) -> anyhow::Result<Verbatim<Value>> {
        let call = self.call(Method::POST, &format!("v1/dead-letters/{id}/discard"));
        self.answer(call.json(&json!({ "by": by }))).await
    }

    /// Gives up all of `selection`; how many there were.
    pub async fn discard(&self, selection: &DeadLetterSelection, by: &str) -> anyhow::Result<u64> {
        let (mut count, mut after) = (0, None);
        loop {
            let mut body = json!(selection);
            body["by"] = json!(by);
            if let Some(after) = after {
                body["after"] = json!(after);
            }
            let call = self.call(Method::POST, "v1/dead-letters/discard").json(&body);
            let page: DiscardAnswer = self.answer(call).await?;
            count += page.discarded_count;
            after = page.next_after;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// What a replay would do: how many dead letters it would take, and the first of them.
    pub async fn dry_run(&self, order: &ReplayOrder) -> anyhow::Result<Verbatim<GroupsAnswer>> {
        let mut body = json!(order);
        body["dry_run"] = json!(true);
        self.answer(self.call(Method::POST, "v1/dead-letters/replay").json(&body)).await
    }

    /// Starts a replay.
    pub async fn start_replay(
        &self,
        order: &ReplayOrder,
    ) -> anyhow::Result<Verbatim<ReplayAnswer>> {
        self.answer(self.call(Method::POST, "v1/dead-letters/replay").json(order)).await
    }

    /// Where a replay stands.
    pub async fn replay(&self, id: ReplayId) -> anyhow::Result<Verbatim<ReplayAnswer>> {
        self.answer(self.call(Method::GET, &format!("v1/replays/{id}"))).await
    }

    /// The latest replays, the newest first.
    pub async fn replays(
        &self,
        model: Option<&ModelName>,
    ) -> anyhow::Result<Vec<Verbatim<ReplayAnswer>>> {
        let call = self.call(Method::GET, "v1/replays").query(&[("model", model)]);
        let list: ReplayList = self.answer(call).await?;
        Ok(list.replays)
    }

    /// Stops a replay.
    pub async fn stop_replay(
        &self,
        id: ReplayId,
        by: &str,
    ) -> anyhow::Result<Verbatim<ReplayAnswer>> {
        let call = self.call(Method::POST, &format!("v1/replays/{id}/stop"));
        self.answer(call.json(&json!({ "by": by }))).await
    }
}
