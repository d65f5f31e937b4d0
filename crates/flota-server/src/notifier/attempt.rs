use std::sync::Arc;

use flota_core::{
    Callback, CallbackAttempt, CallbackState, PortResult,
    ports::{Callbacks, Clock, PostAnswer, PostError, PostRequest, Poster, Predictions, Requests},
};
use flota_platform::settings::NotifierSettings;
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::{
    SigningSecrets,
    bodies::Bodies,
    body,
    schedule::{Verdict, verdict},
};
use crate::metrics::{self, CallbackResult};

/// Makes attempts to deliver callbacks, and records them.
pub(crate) struct Attempts {
    pub(crate) callbacks: Arc<dyn Callbacks>,
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) predictions: Arc<dyn Predictions>,
    pub(crate) poster: Arc<dyn Poster>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: SigningSecrets,
    pub(crate) public_url: Url,
    pub(crate) settings: NotifierSettings,
    pub(crate) bodies: Bodies,
}

impl Attempts {
    /// Attempts to deliver a claimed callback. True if its receiver failed. `None` if the attempt
    /// failed because of us: nothing is recorded, and the callback is due again when its claim
    /// ends.
    pub(super) async fn attempt(&self, callback: &Callback) -> Option<bool> {
        match self.try_attempt(callback).await {
            Ok(verdict) => {
                log(callback, &verdict);
                if verdict.state == CallbackState::Delivered {
                    metrics::callback_delivered(callback.created_at, self.clock.now());
                }
                Some(verdict.receiver_failed)
            }
            Err(error) => {
                metrics::callback_attempted(CallbackResult::OwnFault);
                warn!(callback.id = %callback.id, %error, "a callback could not be tried");
                None
            }
        }
    }

    async fn try_attempt(&self, callback: &Callback) -> PortResult<Verdict> {
        let body = match self.bodies.get(callback.id) {
            Some(body) => Some(body),
            None => self.body(callback).await?,
        };
        let (at, begun) = (self.clock.now(), Instant::now());
        let answer = match &body {
            Some(body) => self.post(callback, body).await,
            None => Err(PostError::Failed("the request is not known any more".to_owned())),
        };
        let attempt = CallbackAttempt {
            at,
            status: answer.as_ref().ok().map(|answer| answer.status),
            error: answer.as_ref().err().map(ToString::to_string),
            duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let now = self.clock.now();
        let verdict = verdict(callback, &answer, &self.settings, now, self.clock.random());
        let claim = callback.due_at.unwrap_or(now);
        let next = (verdict.state, verdict.due_at);
        self.callbacks.attempted(callback.id, claim, &attempt, next).await?;
        match (verdict.state, body) {
            (CallbackState::Pending, Some(body)) => self.bodies.put(callback.id, body),
            _ => self.bodies.remove(callback.id),
        }
        Ok(verdict)
    }

    async fn body(&self, callback: &Callback) -> PortResult<Option<String>> {
        let (requests, predictions) = (self.requests.as_ref(), self.predictions.as_ref());
        let max_bytes = self.settings.max_body_bytes;
        body::of(callback, requests, predictions, &self.public_url, max_bytes).await
    }

    async fn post(&self, callback: &Callback, body: &str) -> Result<PostAnswer, PostError> {
        let id = callback.id.to_string();
        let now = self.clock.now();
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("webhook-signature".to_owned(), self.secrets.sign(&id, now, body)),
            ("webhook-timestamp".to_owned(), now.as_second().to_string()),
            ("webhook-id".to_owned(), id),
        ];
        let request = PostRequest {
            url: callback.url.clone(),
            headers,
            body: body.as_bytes().to_vec(),
            deadline: self.settings.timeout,
        };
        self.poster.post(request).await
    }
}

fn log(callback: &Callback, verdict: &Verdict) {
    let attempt_count = callback.attempts.len() + 1;
    match verdict.state {
        CallbackState::Pending => {
            metrics::callback_attempted(CallbackResult::Retried);
            info!(callback.id = %callback.id, attempt_count, "callback not taken, it is tried again");
        }
        CallbackState::Delivered => {
            metrics::callback_attempted(CallbackResult::Delivered);
            info!(callback.id = %callback.id, attempt_count, "callback delivered");
        }
        CallbackState::Failed => {
            metrics::callback_attempted(CallbackResult::Failed);
            warn!(callback.id = %callback.id, attempt_count, "callback failed, its schedule ran out");
        }
        CallbackState::Disabled => {
            metrics::callback_attempted(CallbackResult::Disabled);
            info!(callback.id = %callback.id, attempt_count, "the receiver wants no more (410)");
        }
    }
}
