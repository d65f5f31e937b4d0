use std::sync::Arc;

use async_trait::async_trait;
use flota_core::{
    OutcomesMessage, PortResult,
    consume::{Handled, Handler, Lease, Unreadable},
    ports::Delivery,
};
use tracing::{Instrument, info_span};

use super::Recording;

/// Passes outcomes messages to a [`Recording`].
pub(crate) struct Recorder {
    pub(crate) recording: Arc<Recording>,
}

#[async_trait]
impl Handler for Recorder {
    type Message = OutcomesMessage;

    fn decode(&self, body: &str) -> Result<OutcomesMessage, Unreadable> {
        Ok(OutcomesMessage::decode(body)?)
    }

    fn weigh(&self, message: &OutcomesMessage) -> usize {
        message.outcomes.len()
    }

    async fn handle(
        &self,
        delivery: Delivery<OutcomesMessage>,
        _lease: Lease,
    ) -> PortResult<Handled> {
        let Delivery { body: message, receive_count, .. } = delivery;
        let span = info_span!("record", source = %message.source,
            round = message.round, pack = message.pack, receive_count);
        self.recording.record(&message).instrument(span).await?;
        Ok(Handled::Ack)
    }
}
