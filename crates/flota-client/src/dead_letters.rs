//! Dead letters and their replays.

use flota_api::{
    DeadLetterGroups, DeadLetterView, DiscardAnswer, DiscardBody, ReplayBody, ReplayDryRun,
    ReplayOne, ReplayView, Resolution,
};
use flota_core::{DeadLetterSelection, ModelName, ReplayId};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{Client, Error, Verbatim};

/// Dead letters asked for at once: the most that the API gives.
const PAGE: usize = 200;

/// As [`DeadLetterPage`](flota_api::DeadLetterPage), with each dead letter as the server writes it.
#[derive(Deserialize)]
struct Page {
    dead_letters: Vec<Verbatim<DeadLetterView>>,
    next_after: Option<String>,
}

/// As [`ReplayList`](flota_api::ReplayList), with each replay as the server writes it.
#[derive(Deserialize)]
struct List {
    replays: Vec<Verbatim<ReplayView>>,
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

impl Client {
    /// Up to `limit` dead letters, the oldest first.
    ///
    /// # Errors
    /// If the server cannot tell.
    pub async fn dead_letters(
        &self,
        selection: &DeadLetterSelection,
        include_resolved: bool,
        limit: usize,
    ) -> Result<Vec<Verbatim<DeadLetterView>>, Error> {
        let mut letters = Vec::new();
        let mut after = None;
        while letters.len() < limit {
            let page = Some(PAGE.min(limit - letters.len()));
            let query = Query { selection, include_resolved, after, limit: page };
            let call = self.call(Method::GET, "v1/dead-letters").query(&query);
            let page: Page = self.answer(call).await?;
            letters.extend(page.dead_letters);
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
        Ok(letters)
    }

    /// How many there are, by model and reason.
    ///
    /// # Errors
    /// If the server cannot tell.
    pub async fn dead_letter_groups(
        &self,
        selection: &DeadLetterSelection,
        include_resolved: bool,
    ) -> Result<Verbatim<DeadLetterGroups>, Error> {
        let query = Query { selection, include_resolved, after: None, limit: None };
        self.answer(self.call(Method::GET, "v1/dead-letters/groups").query(&query)).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn dead_letter(&self, id: &str) -> Result<Verbatim<DeadLetterView>, Error> {
        self.answer(self.call(Method::GET, &format!("v1/dead-letters/{id}"))).await
    }

    /// Runs the task of a dead letter again, or only asks whether it would run. `by` is named in the record.
    ///
    /// # Errors
    /// If it does not run now.
    pub async fn replay_one(
        &self,
        id: &str,
        by: &str,
        dry_run: bool,
    ) -> Result<Verbatim<DeadLetterView>, Error> {
        let call = self.call(Method::POST, &format!("v1/dead-letters/{id}/replay"));
        self.answer(call.json(&ReplayOne { by: Some(by.to_owned()), dry_run })).await
    }

    /// Gives a dead letter up. `by` is named in the record.
    ///
    /// # Errors
    /// If it is not open.
    pub async fn discard_one(&self, id: &str, by: &str) -> Result<Verbatim<DeadLetterView>, Error> {
        let call = self.call(Method::POST, &format!("v1/dead-letters/{id}/discard"));
        self.answer(call.json(&Resolution { by: Some(by.to_owned()) })).await
    }

    /// Gives up all of `selection`, which has at least one condition; how many there were.
    ///
    /// # Errors
    /// If the server refuses. Some may be given up then.
    pub async fn discard(&self, selection: &DeadLetterSelection, by: &str) -> Result<u64, Error> {
        let mut body = DiscardBody::from(selection.clone());
        body.by = Some(by.to_owned());
        let mut count = 0;
        loop {
            let call = self.call(Method::POST, "v1/dead-letters/discard").json(&body);
            let page: DiscardAnswer = self.answer(call).await?;
            count += page.discarded_count;
            body.after = page.next_after;
            if body.after.is_none() {
                return Ok(count);
            }
        }
    }

    /// What a replay would do: how many dead letters it would take, and the first of them.
    ///
    /// # Errors
    /// If the server would not start it.
    pub async fn dry_run(&self, replay: &ReplayBody) -> Result<Verbatim<ReplayDryRun>, Error> {
        let body = ReplayBody { dry_run: true, ..replay.clone() };
        self.answer(self.call(Method::POST, "v1/dead-letters/replay").json(&body)).await
    }

    /// Starts a replay.
    ///
    /// # Errors
    /// If the server does not start it.
    pub async fn start_replay(&self, replay: &ReplayBody) -> Result<Verbatim<ReplayView>, Error> {
        let body = ReplayBody { dry_run: false, ..replay.clone() };
        self.answer(self.call(Method::POST, "v1/dead-letters/replay").json(&body)).await
    }

    /// Where a replay stands.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn replay(&self, id: ReplayId) -> Result<Verbatim<ReplayView>, Error> {
        self.answer(self.call(Method::GET, &format!("v1/replays/{id}"))).await
    }

    /// The latest replays, the newest first.
    ///
    /// # Errors
    /// If the server cannot tell.
    pub async fn replays(
        &self,
        model: Option<&ModelName>,
    ) -> Result<Vec<Verbatim<ReplayView>>, Error> {
        let call = self.call(Method::GET, "v1/replays").query(&[("model", model)]);
        let list: List = self.answer(call).await?;
        Ok(list.replays)
    }

    /// Stops a replay. What it has begun goes on.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn stop_replay(&self, id: ReplayId, by: &str) -> Result<Verbatim<ReplayView>, Error> {
        let call = self.call(Method::POST, &format!("v1/replays/{id}/stop"));
        self.answer(call.json(&Resolution { by: Some(by.to_owned()) })).await
    }
}
