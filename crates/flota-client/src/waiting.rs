//! Waiting for a request: until it is finished, or for each outcome.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use flota_api::{OutcomeView, RequestView};
use flota_core::{RequestId, limits::MAX_CLIENT_WAIT};
use futures::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use crate::{Client, Error, patiently};

/// How often a request is looked at at most: a server whose places for waiting calls are taken answers at once.
const INTERVAL: Duration = Duration::from_secs(1);

impl Client {
    /// Waits until a request is finished; where it stands then, with its first page of outcomes. What passes, such
    /// as a server that is started again, is waited for like [`patiently`].
    ///
    /// # Errors
    /// If there is no such request, or the server has not answered for minutes.
    pub async fn wait(&self, id: RequestId) -> Result<RequestView, Error> {
        loop {
            let next_look = Instant::now() + INTERVAL;
            let look = async || self.request(id, MAX_CLIENT_WAIT).await;
            let request = patiently(look, |_| {}).await?;
            if request.terminal {
                return Ok(request);
            }
            sleep_until(next_look).await;
        }
    }

    /// The outcomes of a request, each once, soon after it is recorded; those of one look by the tasks' numbers.
    /// The stream ends when the request is finished, and with the first error.
    ///
    /// ```no_run
    /// # async fn run(client: flota_client::Client, request: flota_client::RequestView) -> Result<(), flota_client::Error> {
    /// use futures::TryStreamExt;
    ///
    /// let mut outcomes = std::pin::pin!(client.stream(request.id));
    /// while let Some(outcome) = outcomes.try_next().await? {
    ///     println!("task {} is done", outcome.task().n);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self, id: RequestId) -> impl Stream<Item = Result<OutcomeView, Error>> + use<> {
        let following = Following {
            client: self.clone(),
            id,
            ready: VecDeque::new(),
            seen: BTreeSet::new(),
            after: None,
            is_finished: false,
        };
        stream::try_unfold(following, Following::advance)
    }
}

/// A request whose outcomes are read as they come.
struct Following {
    client: Client,
    id: RequestId,
    /// Read, and not taken yet.
    ready: VecDeque<OutcomeView>,
    /// The numbers of outcomes that were read, beyond `after`.
    seen: BTreeSet<u32>,
    /// Every outcome up to this task's was read: no page begins before it.
    after: Option<u32>,
    is_finished: bool,
}

impl Following {
    /// The next outcome, and what follows it; `None` once the request is finished and each was given.
    async fn advance(mut self) -> Result<Option<(OutcomeView, Self)>, Error> {
        loop {
            if let Some(outcome) = self.ready.pop_front() {
                return Ok(Some((outcome, self)));
            }
            if self.is_finished {
                return Ok(None);
            }
            self.look().await?;
        }
    }

    /// Reads what is new; waits where nothing is.
    async fn look(&mut self) -> Result<(), Error> {
        let next_look = Instant::now() + INTERVAL;
        let mut page = self.page(self.after, INTERVAL).await?;
        // What is read as finished has all its outcomes.
        self.is_finished = page.terminal;
        loop {
            self.take(std::mem::take(&mut page.outcomes));
            if page.next_after.is_none() {
                break;
            }
            page = self.page(page.next_after, Duration::ZERO).await?;
        }
        if self.ready.is_empty() && !self.is_finished {
            sleep_until(next_look).await;
        }
        Ok(())
    }

    async fn page(&self, after: Option<u32>, wait: Duration) -> Result<RequestView, Error> {
        patiently(async || self.client.page(self.id, after, wait).await, |_| {}).await
    }

    fn take(&mut self, outcomes: Vec<OutcomeView>) {
        for outcome in outcomes {
            let n = outcome.task().n;
            let is_new = self.after.is_none_or(|after| n > after) && self.seen.insert(n);
            if is_new {
                self.ready.push_back(outcome);
            }
        }
        let next = |after: Option<u32>| after.map_or(0, |after| after.saturating_add(1));
        while self.seen.remove(&next(self.after)) {
            self.after = Some(next(self.after));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Json, Router, extract::Query, routing::get};
    use futures::TryStreamExt;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    const ID: &str = "req_01a1fc26bc9979c9a01869fe472fb51e";

    #[derive(serde::Deserialize)]
    struct Params {
        after: Option<u32>,
    }

    /// A request of four tasks; each look finds more of them.
    fn request(look: usize, after: Option<u32>) -> Value {
        let ended: &[u32] = [&[2][..], &[0, 2], &[0, 1, 2, 3]][look.min(2)];
        let outcome = |n: &u32| {
            json!({"task": format!("task_1-{n}"), "n": n, "round": 1, "image": {"url": "https://a/b"},
                "model": "cat", "attempts": 0, "timings": {}, "ended_at": "2026-11-21T10:00:00Z",
                "outcome": "expired"})
        };
        let page = ended.iter().filter(|n| after.is_none_or(|after| **n > after));
        let outcomes: Vec<Value> = page.map(outcome).collect();
        let done = ended.len();
        json!({"id": ID, "status": "processing", "terminal": done == 4,
            "counts": {"total": 4, "open": 4 - done, "succeeded": 0, "failed": 0, "expired": done, "canceled": 0},
            "models": ["cat"], "image_count": 4, "priority": "normal",
            "timings": {"created_at": "2026-11-21T10:00:00Z"}, "rounds": [], "callbacks": [],
            "outcomes": outcomes})
    }

    #[tokio::test]
    async fn each_outcome_comes_once_and_what_was_read_is_not_read_again() {
        let looks = Arc::new(AtomicUsize::new(0));
        let afters = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (counted, noted) = (looks.clone(), afters.clone());
        let answer = async move |Query(params): Query<Params>| {
            noted.lock().unwrap().push(params.after);
            Json(request(counted.fetch_add(1, Ordering::Relaxed), params.after))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/requests/{id}", get(answer));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let client = Client::new(url.parse().unwrap());
        let outcomes: Vec<OutcomeView> =
            client.stream(ID.parse().unwrap()).try_collect().await.unwrap();
        let numbers: Vec<u32> = outcomes.iter().map(|outcome| outcome.task().n).collect();
        assert_eq!(numbers, [2, 0, 1, 3]);
        assert_eq!(*afters.lock().unwrap(), [None, None, Some(0)]);
        serving.abort();
    }
}
