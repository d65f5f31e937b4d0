//! Sends messages, and tries again what fails. Those of several callers go in one call where the queue is paid by
//! the call: that is the adapter's to do.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use flota_core::{
    PortResult, QueueName, backoff,
    limits::MAX_QUEUE_BATCH,
    ports::{Clock, NewMessage, Queue},
};
use futures::future::try_join_all;

use crate::stages::{Busy, Stage};

/// Tries of one message. With the waits below they last about as long as a lease: giving up earlier computes
/// everything again, and isolated tasks would look like crashed ones.
const SEND_TRIES: u32 = 100;
/// The try at which an operator should know: the waits before it last some seconds.
const LOUD_TRY: u32 = 8;
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(20);

/// Sends until what is sent is durable.
pub(crate) struct RetryingSender {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    stage: Arc<Stage>,
    /// That calls are under way, however many.
    busy: Mutex<Weak<Busy>>,
}

impl RetryingSender {
    /// Sends to `queue` as the work of `stage`.
    pub(crate) fn new(queue: Arc<dyn Queue>, clock: Arc<dyn Clock>, stage: Arc<Stage>) -> Self {
        Self { queue, clock, stage, busy: Mutex::default() }
    }

    /// Sends `messages` to the queue `name`. `Ok` means that each is durable.
    pub(crate) async fn send(&self, name: &QueueName, messages: &[NewMessage]) -> PortResult<()> {
        let calls =
            messages.chunks(MAX_QUEUE_BATCH).map(|some| self.send_some(name, some.to_vec()));
        try_join_all(calls).await?;
        Ok(())
    }

    async fn send_some(&self, name: &QueueName, mut messages: Vec<NewMessage>) -> PortResult<()> {
        for tries in 1.. {
            let busy = self.enter();
            let answers = match self.queue.send(name, &messages).await {
                Ok(answers) => answers,
                Err(error) => vec![Err(error); messages.len()],
            };
            drop(busy);
            let (mut unsent, mut fault) = (Vec::new(), None);
            for (message, answer) in messages.into_iter().zip(answers) {
                match answer {
                    Ok(()) => {}
                    Err(error) if error.is_transient() && tries < SEND_TRIES => {
                        unsent.push(message);
                        fault = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(error) = fault else { break };
            match tries {
                LOUD_TRY => tracing::warn!(queue = %name, tries, %error,
                    "a send fails again and again, it is still tried"),
                _ => tracing::debug!(queue = %name, tries, %error, "a send is tried again"),
            }
            messages = unsent;
            let wait = backoff(tries, RETRY_BASE, RETRY_CAP, self.clock.random());
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn enter(&self) -> Arc<Busy> {
        let mut busy = self.busy.lock().expect("nothing panics under this lock");
        busy.upgrade().unwrap_or_else(|| {
            let entered = Arc::new(self.stage.enter());
            *busy = Arc::downgrade(&entered);
            entered
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_trait::async_trait;
    use flota_core::{
        PortError, QueueNames,
        ports::{Delivery, Depth, ReceiptHandle},
    };
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
    async fn what_fails_in_passing_is_tried_again_and_only_that() {
        let queue = Arc::new(Reluctant::default());
        let name = QueueNames::new("flota").outcomes();
        let stage = Stage::start("report", 1);
        let sender = RetryingSender::new(queue.clone(), Arc::new(SystemClock), stage);
        let messages: Vec<NewMessage> = (0..25).map(message).collect();
        sender.send(&name, &messages).await.unwrap();
        let calls = queue.calls.lock().unwrap().clone();
        let mut sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [5, 5, 10, 10, 10, 10]);
        let bodies: BTreeSet<&String> = calls.iter().flatten().collect();
        assert_eq!(bodies.len(), 25);

        let refused = sender.send(&name, &[message("never"), message("later")]).await.unwrap_err();
        assert!(!refused.is_transient());
        assert_eq!(queue.calls.lock().unwrap().len(), calls.len() + 1, "that is for good");
    }
}
