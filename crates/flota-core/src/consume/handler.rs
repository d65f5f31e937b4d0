use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use metrics::counter;
use tracing::error;

use super::Lease;
use crate::{
    DeadLetter, PortResult, QueueName,
    ports::{Clock, DeadLetters, Delivery},
};

/// Handles the messages of a queue.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The type of a decoded body.
    type Message: Send + 'static;

    /// Decodes a body, once per delivery. The loop dead-letters the message if it is
    /// [`Unreadable`].
    fn decode(&self, body: &str) -> Result<Self::Message, Unreadable>;

    /// The number of tasks in the message, which is the number of slots that it takes. 0 counts as
    /// 1.
    fn weigh(&self, message: &Self::Message) -> usize;

    /// Handles a decoded message. Return [`Handled::Ack`] only once its effects are durable. The
    /// loop logs an error once and releases the delivery with a jittered delay.
    async fn handle(&self, delivery: Delivery<Self::Message>, lease: Lease) -> PortResult<Handled>;
}

/// What the loop does with a handled delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// All effects are durable; the loop acknowledges the message.
    Ack,
    /// The effects of the readable part are durable; the loop dead-letters the message for the
    /// rest, then acknowledges it.
    PartlyUnreadable(Unreadable),
    /// The work did not begin; the loop makes the message visible to others at once.
    Release,
}

/// Why a message cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(String);

impl Unreadable {
    /// `why` is a sentence for the dead letter and the log.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Unreadable {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Stores a dead letter for a message that cannot be decoded, counts it in
/// `flota_messages_unreadable_total` and logs it. Equal bodies have the same dead letter.
///
/// # Errors
/// If the dead letter cannot be stored; then nothing is counted.
pub async fn dead_letter_unreadable(
    dead_letters: &dyn DeadLetters,
    queue: &QueueName,
    body: &str,
    why: &Unreadable,
    now: Timestamp,
) -> PortResult<()> {
    let letter = DeadLetter::unreadable(queue.as_str(), body, why.to_string(), now);
    dead_letters.put(&letter).await?;
    counter!("flota_messages_unreadable_total", "queue" => queue.to_string()).increment(1);
    error!(%queue, dead_letter.id = letter.id, error = %why, "unreadable message dead-lettered");
    Ok(())
}

/// The work on a decoded delivery. It returns true to acknowledge the delivery, false to release
/// it.
pub(super) type Work = Box<dyn FnOnce(Lease) -> BoxFuture<'static, PortResult<bool>> + Send>;

/// A [`Handler`] without its message type, so that [`Consumer`](super::Consumer) needs no type
/// parameter.
pub(super) trait DecodeDelivery: Send + Sync {
    /// Returns the number of tasks in a delivery, and the work on it.
    fn decode(&self, delivery: Delivery) -> (usize, Work);
}

/// A handler, and the destination of messages that it cannot decode.
pub(super) struct TypedHandler<H> {
    pub(super) handler: Arc<H>,
    pub(super) unreadable: UnreadableMessages,
}

/// The destination of a queue's unreadable messages.
#[derive(Clone)]
pub(super) struct UnreadableMessages {
    pub(super) dead_letters: Arc<dyn DeadLetters>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue: QueueName,
}

impl<H: Handler> DecodeDelivery for TypedHandler<H> {
    fn decode(&self, delivery: Delivery) -> (usize, Work) {
        let (handler, unreadable) = (Arc::clone(&self.handler), self.unreadable.clone());
        let message = match handler.decode(&delivery.body) {
            Ok(message) => message,
            Err(why) => {
                let put = async move { unreadable.put(&delivery.body, &why).await.map(|()| true) };
                return (1, Box::new(move |_lease| put.boxed()));
            }
        };
        let weight = handler.weigh(&message).max(1);
        let (body, delivery) = delivery.replace_body(message);
        let work = move |lease: Lease| {
            let handle = async move {
                match handler.handle(delivery, lease).await? {
                    Handled::Ack => Ok(true),
                    Handled::PartlyUnreadable(why) => {
                        unreadable.put(&body, &why).await.map(|()| true)
                    }
                    Handled::Release => Ok(false),
                }
            };
            handle.boxed()
        };
        (weight, Box::new(work))
    }
}

impl UnreadableMessages {
    async fn put(&self, body: &str, why: &Unreadable) -> PortResult<()> {
        let (dead_letters, now) = (self.dead_letters.as_ref(), self.clock.now());
        dead_letter_unreadable(dead_letters, &self.queue, body, why, now).await
    }
}
