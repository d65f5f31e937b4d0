//! Sends the messages of many callers in few calls, and tries again what fails.

use std::{sync::Arc, time::Duration};

use flota_core::{
    PortError, PortResult, QueueName, backoff,
    limits::MAX_QUEUE_BATCH,
    ports::{Clock, NewMessage, Queue},
};
use futures::future::try_join_all;
use tokio::sync::{mpsc, oneshot};

use crate::stages::Stage;

/// Messages that wait for the call before theirs to end; beyond that, the caller waits.
const WAITING_COUNT: usize = 256;
/// Tries of one message. With the waits below they last about as long as a lease: giving up earlier computes
/// everything again, and isolated tasks would look like crashed ones.
const SEND_TRIES: u32 = 100;
/// The try at which an operator should know: the waits before it last some seconds.
const LOUD_TRY: u32 = 8;
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(20);

/// Sends to one queue. Messages that wait while a call is under way go together in the next.
#[derive(Clone)]
pub(crate) struct BatchingSender {
    waiting: mpsc::Sender<Entry>,
}

struct Entry {
    message: NewMessage,
    tries: u32,
    reply: oneshot::Sender<PortResult<()>>,
}

impl BatchingSender {
    /// Starts to send, as the work of `stage`; it ends with the last handle.
    pub(crate) fn start(
        queue: Arc<dyn Queue>,
        name: QueueName,
        clock: Arc<dyn Clock>,
        stage: Option<Arc<Stage>>,
    ) -> Self {
        let (waiting, entries) = mpsc::channel(WAITING_COUNT);
        tokio::spawn(send_all(queue, name, clock, stage, entries));
        Self { waiting }
    }

    /// Sends `messages`. `Ok` means that each is durable.
    pub(crate) async fn send(&self, messages: Vec<NewMessage>) -> PortResult<()> {
        try_join_all(messages.into_iter().map(|message| self.send_one(message))).await?;
        Ok(())
    }

    async fn send_one(&self, message: NewMessage) -> PortResult<()> {
        let (reply, answer) = oneshot::channel();
        let entry = Entry { message, tries: 0, reply };
        let ended = |_| PortError::transient("sending a message", "the sending task has ended");
        self.waiting.send(entry).await.map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))?
    }
}

async fn send_all(
    queue: Arc<dyn Queue>,
    name: QueueName,
    clock: Arc<dyn Clock>,
    stage: Option<Arc<Stage>>,
    mut waiting: mpsc::Receiver<Entry>,
) {
    let mut batch: Vec<Entry> = Vec::with_capacity(MAX_QUEUE_BATCH);
    loop {
        let room = MAX_QUEUE_BATCH - batch.len();
        if batch.is_empty() && waiting.recv_many(&mut batch, room).await == 0 {
            return;
        }
        while batch.len() < MAX_QUEUE_BATCH
            && let Ok(entry) = waiting.try_recv()
        {
            batch.push(entry);
        }
        let busy = stage.as_ref().map(Stage::enter);
        batch = send_batch(queue.as_ref(), &name, batch).await;
        drop(busy);
        if let Some(tries) = batch.iter().map(|entry| entry.tries).max() {
            let wait = backoff(tries, RETRY_BASE, RETRY_CAP, clock.random());
            tokio::time::sleep(wait).await;
        }
    }
}

/// Sends one batch, answers the callers whose messages were sent or refused, and returns the rest.
async fn send_batch(queue: &dyn Queue, name: &QueueName, batch: Vec<Entry>) -> Vec<Entry> {
    // A caller that no longer waits lost its lease: its message is dropped.
    let batch: Vec<Entry> = batch.into_iter().filter(|entry| !entry.reply.is_closed()).collect();
    if batch.is_empty() {
        return batch;
    }
    let messages: Vec<NewMessage> = batch.iter().map(|entry| entry.message.clone()).collect();
    let answers = match queue.send(name, &messages).await {
        Ok(answers) => answers,
        Err(error) => vec![Err(error); batch.len()],
    };
    let mut again = Vec::new();
    for (mut entry, answer) in batch.into_iter().zip(answers) {
        entry.tries += 1;
        match answer {
            Err(error) if error.is_transient() && entry.tries < SEND_TRIES => {
                let tries = entry.tries;
                match tries {
                    LOUD_TRY => tracing::warn!(queue = %name, tries, %error,
                        "a send fails again and again, it is still tried"),
                    _ => tracing::debug!(queue = %name, tries, %error, "a send is tried again"),
                }
                again.push(entry);
            }
            answer => {
                let _ = entry.reply.send(answer);
            }
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use flota_core::ports::{Delivery, Depth, ReceiptHandle};
    use flota_platform::SystemClock;

    use super::*;

    /// A queue that takes no message at its first sending, nor ever one that says `never`.
    #[derive(Default)]
    struct Reluctant {
        calls: Mutex<Vec<Vec<String>>>,
    }

    #[async_trait]
    impl Queue for Reluctant {
        async fn send(
            &self,
            _: &QueueName,
            messages: &[NewMessage],
        ) -> PortResult<Vec<PortResult<()>>> {
            let mut calls = self.calls.lock().unwrap();
            let bodies: Vec<String> = messages.iter().map(|m| m.body.clone()).collect();
            let answer = |body: &String| match body.as_str() {
                "never" => Err(PortError::permanent("sending", "refused")),
                _ if calls.iter().any(|call| call.contains(body)) => Ok(()),
                _ => Err(PortError::transient("sending", "busy")),
            };
            let answers = bodies.iter().map(answer).collect();
            calls.push(bodies);
            Ok(answers)
        }

        async fn receive(
            &self,
            _: &QueueName,
            _: usize,
            _: Duration,
            _: Duration,
        ) -> PortResult<Vec<Delivery>> {
            unreachable!("a sender only sends")
        }

        async fn extend(
            &self,
            _: &QueueName,
            _: &[ReceiptHandle],
            _: Duration,
        ) -> PortResult<Vec<PortResult<()>>> {
            unreachable!("a sender only sends")
        }

        async fn ack(&self, _: &QueueName, _: &[ReceiptHandle]) -> PortResult<Vec<PortResult<()>>> {
            unreachable!("a sender only sends")
        }

        async fn depth(&self, _: &QueueName) -> PortResult<Depth> {
            unreachable!("a sender only sends")
        }
    }

    fn message(body: impl ToString) -> NewMessage {
        NewMessage::new(body.to_string(), "default")
    }

    #[tokio::test(start_paused = true)]
    async fn messages_go_together_and_a_passing_failure_is_tried_again() {
        let queue = Arc::new(Reluctant::default());
        let name = QueueName::outcomes("flota");
        let sender = BatchingSender::start(queue.clone(), name, Arc::new(SystemClock), None);
        sender.send((0..25).map(message).collect()).await.unwrap();
        let sizes: Vec<usize> = queue.calls.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [10, 10, 10, 10, 5, 5]);

        let refused = sender.send(vec![message("never"), message("later")]).await.unwrap_err();
        assert!(!refused.is_transient());
    }
}
