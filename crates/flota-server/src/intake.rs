//! Keeping a request and sending its tasks, for whoever wants one.

use std::sync::Arc;

use flota_core::{
    PortResult, Request, RoundKey,
    ports::{Accept, Accepted, Clock, IdempotencyKey, Requests},
};
use flota_platform::settings::SweeperSettings;
use metrics::counter;
use tracing::{info, warn};

use crate::dispatch::Dispatcher;

/// Takes requests in.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: SweeperSettings,
}

impl Intake {
    /// Keeps `request`, unless its idempotency key is known, and sends its tasks. Once it is kept
    /// nothing fails: what is not sent is for the sweeper.
    pub(crate) async fn accept(
        &self,
        request: Request,
        idempotency: Option<IdempotencyKey>,
    ) -> PortResult<Accepted> {
        let due_at = request.created_at + self.settings.accept_grace;
        let accept = Accept { request, due_at, idempotency };
        let accepted = self.requests.accept(&accept).await?;
        if accepted != Accepted::New {
            return Ok(accepted);
        }
        let request = accept.request;
        let id = request.id;
        counter!("flota_requests_accepted_total").increment(1);
        counter!("flota_tasks_accepted_total").increment(request.task_count().into());
        info!(request.id = %id, image_count = request.images.len(),
            model_count = request.routes.len(), "request accepted");
        // A task of its own: a client that hangs up must not stop the sending half-way.
        let intake = self.clone();
        if tokio::spawn(async move { intake.send(&request).await }).await.is_err() {
            warn!(request.id = %id, "sending tasks panicked, the sweeper will send them");
        }
        Ok(accepted)
    }

    /// Sends all tasks. What fails here is for the sweeper: the request is kept.
    async fn send(self, request: &Request) {
        if !self.dispatcher.send(request, 1, &request.packs()).await {
            return;
        }
        let key = RoundKey { request: request.id, round: 1 };
        let due_at = self.clock.now() + self.settings.resend;
        // Nobody waits for this: the sweeper has time.
        tokio::spawn(async move {
            if let Err(error) = self.requests.set_due(key, due_at).await {
                let id = key.request;
                warn!(request.id = %id, %error, "the sweeper will send the tasks once more");
            }
        });
    }
}
