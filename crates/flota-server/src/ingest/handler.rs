use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use flota_core::{
    DeadLetter, ObjectAddress, PortResult, QueueName, UploadError,
    consume::{Handled, Handler, Lease},
    ports::{Clock, DeadLetters, Delivery},
    uploads,
};
use flota_platform::settings::IngestRule;
use metrics::counter;
use tracing::warn;

use super::{
    gatherer::{Gatherer, Wanted},
    requests::Requester,
};

/// Does with each upload as the rules say.
pub(super) struct Ingest {
    pub(super) rules: Vec<IngestRule>,
    pub(super) requester: Requester,
    pub(super) gatherer: Gatherer,
    pub(super) dead_letters: Arc<dyn DeadLetters>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue: QueueName,
}

#[async_trait]
impl Handler for Ingest {
    fn weigh(&self, delivery: &Delivery) -> usize {
        uploads(&delivery.body).len().max(1)
    }

    async fn handle(&self, delivery: Delivery, _lease: Lease) -> PortResult<Handled> {
        let mut wanted = Vec::new();
        let uploads = uploads(&delivery.body);
        if uploads.is_empty() {
            counter!("flota_uploads_total", "result" => "foreign").increment(1);
        }
        for read in uploads {
            match read {
                Ok(address) => wanted.extend(self.follow_rules(address).await?),
                Err(error) => self.put_away(&delivery, &error).await?,
            }
        }
        self.gatherer.send(wanted).await?;
        Ok(Handled::Settle)
    }
}

impl Ingest {
    /// Makes the requests that rules ask for; the tasks that no request keeps.
    async fn follow_rules(&self, object: ObjectAddress) -> PortResult<Option<Wanted>> {
        let (mut models, mut is_met) = (BTreeSet::new(), false);
        for rule in self.rules.iter().filter(|rule| rule.matches(object.bucket(), object.key())) {
            is_met = true;
            match &rule.callback {
                Some(url) => self.requester.accept(rule, url.as_str(), &object).await?,
                None => models.extend(rule.models.iter().map(|model| (rule.lane, model.clone()))),
            }
        }
        let result = if is_met { "taken" } else { "ignored" };
        counter!("flota_uploads_total", "result" => result).increment(1);
        Ok((!models.is_empty()).then_some(Wanted { object, models }))
    }

    async fn put_away(&self, delivery: &Delivery, error: &UploadError) -> PortResult<()> {
        let (queue, now) = (self.queue.as_str(), self.clock.now());
        let letter = DeadLetter::unreadable(queue, &delivery.body, error.to_string(), now);
        self.dead_letters.put(&letter).await?;
        counter!("flota_messages_unreadable_total", "queue" => queue.to_owned()).increment(1);
        warn!(queue, %error, dead_letter.id = letter.id,
            "nobody can read the message, it is a dead letter now");
        Ok(())
    }
}
