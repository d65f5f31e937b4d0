//! Keeping a request and sending its tasks, for whoever wants one.

use std::{sync::Arc, time::Duration};

use flota_core::{
    PortResult, Request, RoundKey,
    ports::{Accept, Accepted, Clock, IdempotencyKey, Requests},
};
use flota_platform::settings::SweeperSettings;
use metrics::counter;
use tokio::time;
use tracing::{info, warn};

use crate::dispatch::Dispatcher;

/// How long an acceptance waits until its tasks are sent. It is durable already: a queue that is slower
/// holds up nobody.
const SEND_WAIT: Duration = Duration::from_secs(1);

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
    /// nothing fails: what is not sent is for the sweeper, and a queue that is slow is not waited for.
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
        // A task of its own: a client that hangs up, or a wait that ends, must not stop the sending
        // half-way.
        let intake = self.clone();
        let sending = tokio::spawn(async move { intake.send(&request).await });
        match time::timeout(SEND_WAIT, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                warn!(request.id = %id, "sending tasks panicked, the sweeper will send them");
            }
            Err(_) => {
                info!(request.id = %id, "the queue is slow, the request is answered meanwhile")
            }
        }
        Ok(accepted)
    }

    /// Sends all tasks. What fails here is for the sweeper: the request is kept.
    async fn send(self, request: &Request) {
        let packs = request.packs();
        let sending = self.dispatcher.send(request, 1, &packs);
        // By then the sweeper takes the round, and finds what was not sent.
        match time::timeout(self.settings.accept_grace, sending).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                counter!("flota_dispatch_failures_total").increment(packs.len() as u64);
                warn!(request.id = %request.id, "the queue did not answer, the sweeper will send the tasks");
                return;
            }
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
