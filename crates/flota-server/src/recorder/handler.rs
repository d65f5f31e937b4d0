use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    DeadLetter, OutcomesMessage, PortResult, QueueName,
    consume::{Handled, Handler, Lease},
    ports::{Clock, DeadLetters, Delivery},
};
use metrics::counter;
use serde::{Deserialize, de::IgnoredAny};
use tracing::{Instrument, info_span, warn};

use super::Recording;

/// Reads outcomes messages for a [`Recording`].
pub(crate) struct Recorder {
    pub(crate) recording: Arc<Recording>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: QueueName,
}

#[derive(Deserialize)]
struct Skeleton {
    outcomes: Vec<IgnoredAny>,
}

#[async_trait]
impl Handler for Recorder {
    fn weigh(&self, delivery: &Delivery) -> usize {
        let skeleton = serde_json::from_str::<Skeleton>(&delivery.body);
        skeleton.map_or(1, |skeleton| skeleton.outcomes.len())
    }

    async fn handle(&self, delivery: Delivery, _lease: Lease) -> PortResult<Handled> {
        match OutcomesMessage::decode(&delivery.body) {
            Ok(message) => {
                let span = info_span!("record", origin = %message.origin,
                    round = message.round, pack = message.pack, receive_count = delivery.receive_count);
                self.recording.record(&message).instrument(span).await?;
            }
            Err(error) => {
                let queue = self.queue.as_str();
                let now = self.clock.now();
                let letter = DeadLetter::unreadable(queue, &delivery.body, error.to_string(), now);
                self.dead_letters.put(&letter).await?;
                counter!("flota_messages_unreadable_total", "queue" => queue.to_owned())
                    .increment(1);
                warn!(queue, %error, dead_letter.id = letter.id,
                    "nobody can read the message, it is a dead letter now");
            }
        }
        Ok(Handled::Settle)
    }
}
