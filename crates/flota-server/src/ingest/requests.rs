use std::sync::Arc;

use flota_core::{
    CallbackEvent, CallbackTarget, ClientName, ImageRef, ObjectAddress, ObjectIdentity, PortResult,
    Request, RequestId, Route, Sha256,
    ports::{Accepted, Clock, IdempotencyKey},
};
use flota_platform::settings::IngestRule;

use super::packer::not_registered;
use crate::{
    metrics::{self, UploadResult},
    submissions::Submissions,
};

/// Makes requests for uploads that match a rule with a callback.
pub(super) struct Requester {
    pub(super) submissions: Submissions,
    pub(super) clock: Arc<dyn Clock>,
}

impl Requester {
    /// Stores a request for the object at `address` and sends its tasks. A repeated event makes no
    /// second request.
    pub(super) async fn accept(
        &self,
        rule: &IngestRule,
        callback_url: &str,
        address: &ObjectAddress,
    ) -> PortResult<()> {
        let mut routes = Vec::with_capacity(rule.models.len());
        let known = self.submissions.directory.knowing(&rule.models).await?;
        for model in &rule.models {
            let worker = known.worker(model).ok_or_else(|| not_registered(model))?.clone();
            routes.push(Route { model: model.clone(), worker });
        }
        let url = callback_url.to_owned();
        let request = Request {
            id: RequestId(self.clock.uuid()),
            client: ClientName::default(),
            images: vec![ImageRef { url: address.to_string(), id: None }],
            routes,
            callback: Some(CallbackTarget { url, events: vec![CallbackEvent::RequestFinished] }),
            priority: rule.priority,
            metadata: None,
            created_at: self.clock.now(),
        };
        let idempotency = idempotency_key(rule, callback_url, address);
        if self.submissions.accept(request, idempotency).await?.accepted != Accepted::New {
            metrics::uploads(UploadResult::Repeated, 1);
        }
        Ok(())
    }
}

/// The key that repeated events share. It covers the object's identity, the models and the
/// callback.
fn idempotency_key(
    rule: &IngestRule,
    callback_url: &str,
    address: &ObjectAddress,
) -> Option<IdempotencyKey> {
    let object = ObjectIdentity::of(address)?;
    let models: Vec<&str> = rule.models.iter().map(|model| model.as_str()).collect();
    let wanted = format!("{object} {} {callback_url}", models.join(","));
    let fingerprint = Sha256::of(wanted.as_bytes());
    let key = format!("upload-{fingerprint}");
    Some(IdempotencyKey { client: ClientName::default(), key, fingerprint })
}
