use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use aws_config::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, Config,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName, QueueAttributeName,
    },
};
use flota_core::{
    ModelName, PortError, PortResult, QueueName,
    limits::{MAX_POLL_WAIT, MAX_QUEUE_BATCH},
    ports::{
        Backlog, Delivery, Depth, NewMessage, Queue, ReceiptHandle,
        queue_bounds::{check_batch, check_lease},
    },
};

use super::{
    error::until_put_right,
    messages::{self, Answers, Outgoing, seconds},
    queue_urls::QueueUrls,
};

/// How much longer than its wait one try of a receive may take: an answer lost on the way must not
/// hang the loop.
const RECEIVE_ATTEMPT_GRACE: Duration = Duration::from_secs(6);
/// How much longer than its wait a receive may take with all its tries; the consume loop gives it
/// up a second later.
const RECEIVE_GRACE: Duration = Duration::from_secs(9);
/// Tries of a heartbeat, the first included: a lost lease throws work away.
const EXTEND_ATTEMPTS: u32 = 6;
/// First wait between two tries of a heartbeat, which is doubled each time.
const EXTEND_BACKOFF: Duration = Duration::from_millis(50);
/// One try of a heartbeat may take this part of a call's time, so that others fit behind it.
const EXTEND_ATTEMPT_PART: u32 = 2;
/// The attributes that count messages: ready, in flight, delayed.
const COUNTS: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
];
/// What SQS answers where a message was acknowledged or taken by a later delivery.
const GONE: &str = "ReceiptHandleIsInvalid";

/// So many messages say what a queue holds; older ones count half.
const RECENT_MESSAGES: u64 = 1_000;

/// The tasks in the messages that were sent to a queue lately.
#[derive(Default)]
struct SentTasks {
    messages: u64,
    tasks: BTreeMap<ModelName, u64>,
}

impl SentTasks {
    fn note(&mut self, messages: &[NewMessage]) {
        for message in messages.iter().filter(|message| !message.tasks.is_empty()) {
            self.messages += 1;
            for (model, count) in &message.tasks {
                *self.tasks.entry(model.clone()).or_default() += u64::from(*count);
            }
        }
        if self.messages >= 2 * RECENT_MESSAGES {
            self.messages /= 2;
            self.tasks.values_mut().for_each(|count| *count /= 2);
        }
    }

    /// What the messages of `depth` hold, if they are like those; `None` before the first.
    fn scaled_to(&self, depth: Depth) -> Option<BTreeMap<ModelName, u64>> {
        let message_count = depth.ready + depth.in_flight + depth.delayed;
        let scaled = |count: &u64| count.saturating_mul(message_count).div_ceil(self.messages);
        let counts = self.tasks.iter().map(|(model, count)| (model.clone(), scaled(count)));
        (self.messages > 0).then(|| counts.filter(|(_, count)| *count > 0).collect())
    }
}

/// Queues on SQS.
pub(super) struct SqsQueue {
    sqs: Client,
    urls: QueueUrls,
    call_timeout: Duration,
    sent: Mutex<BTreeMap<QueueName, SentTasks>>,
}

impl SqsQueue {
    /// Queues that are made where they are missing and `create_missing`. One try of a call may take
    /// `call_timeout`.
    pub(super) fn new(sqs: Client, create_missing: bool, call_timeout: Duration) -> Self {
        let urls = QueueUrls::new(sqs.clone(), create_missing);
        Self { sqs, urls, call_timeout, sent: Mutex::default() }
    }

    /// Standard retries, but the time that a long poll takes.
    fn receive_config(&self, wait: Duration) -> aws_sdk_sqs::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(wait + RECEIVE_ATTEMPT_GRACE)
            .operation_timeout(wait + RECEIVE_GRACE);
        Config::builder().timeout_config(timeouts.build())
    }

    fn note_sent(&self, queue: &QueueName, messages: &[NewMessage]) {
        let mut sent = self.sent.lock().expect("nothing panics under this lock");
        sent.entry(queue.clone()).or_default().note(messages);
    }

    /// Many short tries close together.
    fn extend_config(&self) -> aws_sdk_sqs::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(self.call_timeout / EXTEND_ATTEMPT_PART);
        let retries = RetryConfig::standard()
            .with_max_attempts(EXTEND_ATTEMPTS)
            .with_initial_backoff(EXTEND_BACKOFF);
        Config::builder().timeout_config(timeouts.build()).retry_config(retries)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(messages)?;
        self.note_sent(queue, messages);
        let Outgoing { entries, mut answers } = Outgoing::new(messages)?;
        if entries.is_empty() {
            return Ok(answers.into_vec());
        }
        let url = self.urls.get(queue).await.map_err(until_put_right)?;
        let call = self.sqs.send_message_batch().queue_url(url);
        match call.set_entries(Some(entries.clone())).send().await {
            Ok(sent) => {
                answers.note(sent.successful().iter().map(|entry| entry.id()), sent.failed());
            }
            Err(error) => {
                let error = self.urls.failed("sending messages", queue, error);
                answers.fail(&entries, &until_put_right(error));
            }
        }
        Ok(answers.into_vec())
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>> {
        check_lease(lease)?;
        let wait = Duration::from_secs(seconds(wait.min(MAX_POLL_WAIT)).unsigned_abs().into());
        let max = i32::try_from(max.clamp(1, MAX_QUEUE_BATCH)).expect("ten fit");
        let url = self.urls.get(queue).await?;
        let call = self
            .sqs
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(max)
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(lease))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let received = call.customize().config_override(self.receive_config(wait)).send().await;
        let received =
            received.map_err(|error| self.urls.failed("receiving messages", queue, error))?;
        received.messages.unwrap_or_default().into_iter().map(messages::delivery).collect()
    }

    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(receipts)?;
        check_lease(lease)?;
        let mut answers = Answers::new("extending a lease", receipts.len());
        if receipts.is_empty() {
            return Ok(answers.into_vec());
        }
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.0)
                .visibility_timeout(seconds(lease))
                .build()
                .expect("it has an id and a receipt handle")
        });
        let url = self.urls.get(queue).await?;
        let call = self.sqs.change_message_visibility_batch().queue_url(url);
        let call = call.set_entries(Some(entries.collect()));
        let extended = call.customize().config_override(self.extend_config()).send().await;
        let extended =
            extended.map_err(|error| self.urls.failed("extending leases", queue, error))?;
        answers.note(extended.successful().iter().map(|entry| entry.id()), extended.failed());
        Ok(answers.into_vec())
    }

    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>> {
        check_batch(receipts)?;
        let mut answers = Answers::new("acknowledging a message", receipts.len());
        if receipts.is_empty() {
            return Ok(answers.into_vec());
        }
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.0)
                .build()
                .expect("it has an id and a receipt handle")
        });
        let url = self.urls.get(queue).await?;
        let call = self.sqs.delete_message_batch().queue_url(url);
        let call = call.set_entries(Some(entries.collect()));
        // A message that stays comes back, and what it says a second time changes nothing.
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let acknowledged = call.customize().config_override(once).send().await;
        let acknowledged = acknowledged
            .map_err(|error| self.urls.failed("acknowledging messages", queue, error))?;
        let (gone, failed): (Vec<_>, Vec<_>) =
            acknowledged.failed.into_iter().partition(|entry| entry.code() == GONE);
        let succeeded = acknowledged.successful.iter().map(|entry| entry.id());
        answers.note(succeeded.chain(gone.iter().map(|entry| entry.id())), &failed);
        Ok(answers.into_vec())
    }

    fn dlq(&self, queue: &QueueName) -> Option<QueueName> {
        Some(queue.dlq())
    }

    /// By what this process sent there lately.
    async fn backlog(&self, queue: &QueueName, depth: Depth) -> PortResult<Option<Backlog>> {
        let sent = self.sent.lock().expect("nothing panics under this lock");
        let tasks = sent.get(queue).and_then(|sent| sent.scaled_to(depth));
        Ok(tasks.map(|tasks| Backlog { tasks, ..Backlog::default() }))
    }

    async fn depth(&self, queue: &QueueName) -> PortResult<Depth> {
        let url = self.urls.get(queue).await?;
        let asked = self.sqs.get_queue_attributes().queue_url(url);
        let asked = asked.set_attribute_names(Some(COUNTS.to_vec())).send().await;
        let answer = asked.map_err(|error| self.urls.failed("counting messages", queue, error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let [ready, in_flight, delayed] =
            COUNTS.map(|name| attributes.get(&name).and_then(|count| count.parse().ok()));
        match (ready, in_flight, delayed) {
            (Some(ready), Some(in_flight), Some(delayed)) => {
                Ok(Depth { ready, in_flight, delayed })
            }
            _ => Err(PortError::permanent("counting messages", "a count is missing")),
        }
    }
}
