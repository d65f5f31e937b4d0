//! The queues of SQS: what `flota provision` creates and `flota doctor` checks.

use aws_sdk_sqs::types::QueueAttributeName;
use flota_core::{QueueName, QueueNames, WorkerName, limits::MAX_RECEIVE_COUNT};
use serde_json::json;

/// How long a queue keeps a message: longer than a request is kept open by default, so that the
/// sweeper and not a queue decides what is lost, and than a week in which nobody sees that upload
/// events, which no record keeps, are not taken.
const RETENTION_SECONDS: u32 = 8 * 24 * 60 * 60;
/// How long a dead-letter queue keeps a message, whose age counts from when it was first sent: as long as
/// SQS can.
const CRASH_NET_RETENTION_SECONDS: u32 = 14 * 24 * 60 * 60;
/// Largest message in bytes: what SQS takes. Ours are smaller; an event of S3 may be larger.
const MAX_MESSAGE_BYTES: u32 = 1024 * 1024;
/// Each receive says how long; this is for a person who looks into a queue.
const VISIBILITY_SECONDS: u32 = 60;
/// The long poll of a caller that does not say.
const WAIT_SECONDS: u32 = 20;

/// An attribute of a queue as it is to be.
pub type Attribute = (QueueAttributeName, String);

/// The queues that workers of these names and the roles of the server take from. Each has its
/// [`QueueName::dlq`] beside it.
pub fn queues(names: &QueueNames, workers: &[WorkerName]) -> Vec<QueueName> {
    let tasks = workers.iter().flat_map(|worker| names.tasks_of(worker)).map(|(_, queue)| queue);
    tasks.chain([names.outcomes(), names.events()]).collect()
}

/// The attributes of a queue whose dead-letter queue has the ARN `dlq`.
pub fn attributes(dlq: &str) -> Vec<Attribute> {
    let redrive =
        json!({"deadLetterTargetArn": dlq, "maxReceiveCount": MAX_RECEIVE_COUNT}).to_string();
    let mut attributes = shared_attributes(RETENTION_SECONDS);
    attributes.push((QueueAttributeName::RedrivePolicy, redrive));
    attributes
}

/// The attributes of a dead-letter queue.
pub fn dlq_attributes() -> Vec<Attribute> {
    shared_attributes(CRASH_NET_RETENTION_SECONDS)
}

fn shared_attributes(retention_seconds: u32) -> Vec<Attribute> {
    [
        (QueueAttributeName::MessageRetentionPeriod, retention_seconds),
        (QueueAttributeName::MaximumMessageSize, MAX_MESSAGE_BYTES),
        (QueueAttributeName::VisibilityTimeout, VISIBILITY_SECONDS),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, WAIT_SECONDS),
    ]
    .map(|(name, value)| (name, value.to_string()))
    .into()
}
