//! Accepts requests: stores them and sends their tasks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flota_core::{
    Ending, ModelDirectory, Outcome, OutcomesMessage, Pack, PortResult, PredictionKey, Request,
    RoundKey, Route, TaskOutcome, TaskSource, Timings,
    ports::{Accept, Accepted, Clock, IdempotencyKey, Requests},
};
use flota_platform::settings::SweeperSettings;
use jiff::Timestamp;
use tokio::time;
use tracing::{info, warn};

use crate::{
    cache::{Content, PredictionCache, Query},
    dispatch::Dispatcher,
    metrics,
    recorder::Recording,
};

/// How long a submission waits for its tasks to be sent. The request is durable already, so a slow
/// queue does not delay the answer for longer.
const SEND_WAIT: Duration = Duration::from_secs(1);

/// Accepts requests.
#[derive(Clone)]
pub(crate) struct Submissions {
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) recording: Arc<Recording>,
    pub(crate) cache: PredictionCache,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: SweeperSettings,
}

/// The result of a submission.
pub(crate) struct Taken {
    pub(crate) accepted: Accepted,
    /// Whether some tasks have their outcome already, from cached predictions.
    pub(crate) is_begun: bool,
}

impl Submissions {
    /// Stores `request`, unless its idempotency key exists. Then it records outcomes for tasks with
    /// a cached prediction and sends the others. Errors after storing are not returned: the sweeper
    /// sends what was not sent, and a slow queue is not waited for.
    pub(crate) async fn accept(
        &self,
        request: Request,
        idempotency: Option<IdempotencyKey>,
    ) -> PortResult<Taken> {
        let due_at = request.created_at + self.settings.accept_grace;
        let accept = Accept { request, due_at, idempotency };
        let accepted = self.requests.accept(&accept).await?;
        if accepted != Accepted::New {
            return Ok(Taken { accepted, is_begun: false });
        }
        let request = accept.request;
        let id = request.id;
        metrics::request_accepted(&request);
        // Runs in a task of its own, so that it finishes even if the client disconnects or the wait
        // ends.
        let submissions = self.clone();
        let sending = tokio::spawn(async move { submissions.begin(&request).await });
        let mut is_begun = false;
        match time::timeout(SEND_WAIT, sending).await {
            Ok(Ok(begun)) => is_begun = begun,
            Ok(Err(_)) => {
                warn!(request.id = %id, "sending tasks panicked, the sweeper will send them");
            }
            Err(_) => {
                info!(request.id = %id, "the queue is slow, the request is answered meanwhile")
            }
        }
        Ok(Taken { accepted, is_begun })
    }

    /// Answers tasks from the cache and sends the others. True if some were answered.
    async fn begin(self, request: &Request) -> bool {
        let open = self.answer_cached(request).await;
        let open_count: usize = open.iter().map(|pack| pack.tasks.len()).sum();
        if open_count > 0 {
            self.send(request, &open).await;
        }
        open_count < request.task_count() as usize
    }

    /// Records outcomes for tasks with a cached prediction, and returns the packs of the others. If
    /// the cache cannot be read, all tasks are returned: this is only an optimization.
    async fn answer_cached(&self, request: &Request) -> Vec<Pack> {
        let mut open = request.packs();
        let cached = match self.cached(request).await {
            Ok(cached) => cached,
            Err(error) => {
                warn!(request.id = %request.id, %error, "prediction cache lookup failed");
                return open;
            }
        };
        let now = self.clock.now();
        for pack in open.iter_mut() {
            let outcomes: Vec<TaskOutcome> = pack
                .tasks
                .iter()
                .filter_map(|n| Some((*n, cached.get(n)?.clone())))
                .map(|(n, prediction)| cached_outcome(n, prediction, now))
                .collect();
            if outcomes.is_empty() {
                continue;
            }
            let message = OutcomesMessage {
                source: TaskSource::Request(request.id),
                round: 1,
                pack: pack.index,
                outcomes,
                predictions: Vec::new(),
                aliases: Vec::new(),
                dead_letters: Vec::new(),
            };
            match self.recording.record_pack(request, pack, &message).await {
                Ok(record) => pack.tasks.retain(|n| !record.outcomes.contains_key(n)),
                Err(error) => {
                    warn!(request.id = %request.id, %error, "recording cached outcomes failed, workers will");
                }
            }
        }
        open.retain(|pack| !pack.tasks.is_empty());
        open
    }

    /// The tasks with a cached prediction, of images whose URL identifies their content.
    async fn cached(&self, request: &Request) -> PortResult<BTreeMap<u32, PredictionKey>> {
        let contents: Vec<Option<Content>> =
            request.images.iter().map(|image| self.cache.content(&image.url)).collect();
        if contents.iter().all(Option::is_none) {
            return Ok(BTreeMap::new());
        }
        let known = self.directory.known().await?;
        let mut queries = Vec::new();
        for (image, content) in contents.iter().enumerate() {
            for (place, Route { model, .. }) in request.routes.iter().enumerate() {
                if let (Some(content), Some(version)) = (content, known.version(model)) {
                    let n = image * request.routes.len() + place;
                    let key = u32::try_from(n).expect("a request has a thousand tasks at most");
                    let (model, version) = (model.clone(), version.clone());
                    queries.push(Query { key, content: content.clone(), model, version });
                }
            }
        }
        self.cache.find(&queries).await
    }

    /// Sends tasks. The sweeper sends what fails here.
    async fn send(self, request: &Request, packs: &[Pack]) {
        let sending = self.dispatcher.send(request, 1, packs);
        // After this time the sweeper claims the round, and sends what was not sent.
        match time::timeout(self.settings.accept_grace, sending).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                metrics::dispatch_failed(packs.len());
                warn!(request.id = %request.id, "the queue did not answer, the sweeper will send the tasks");
                return;
            }
        }
        let key = RoundKey { request: request.id, round: 1 };
        let due_at = self.clock.now() + self.settings.resend;
        // Nobody waits for this, because it only saves the sweeper a check.
        tokio::spawn(async move {
            if let Err(error) = self.requests.set_due(key, due_at).await {
                let id = key.request;
                warn!(request.id = %id, %error, "the sweeper will send the tasks once more");
            }
        });
    }
}

/// The outcome of a task that was answered from the cache.
fn cached_outcome(n: u32, prediction: PredictionKey, now: Timestamp) -> TaskOutcome {
    let ending = Ending::Succeeded { prediction, cached: true };
    let timings = Timings::default();
    TaskOutcome { n, outcome: Outcome { ending, attempts: 0, timings, ended_at: now } }
}
