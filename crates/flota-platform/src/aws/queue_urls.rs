use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::QueueAttributeName,
};
use flota_core::{PortError, PortResult, QueueName};

use super::{
    error::{failed, failed_for_good, is_queue_missing},
    queues::{self, Attribute},
};

/// Where queues are. A URL is asked for once and then remembered: it never changes.
pub(super) struct QueueUrls {
    sqs: Client,
    create_missing: bool,
    known: RwLock<HashMap<QueueName, String>>,
}

impl QueueUrls {
    pub(super) fn new(sqs: Client, create_missing: bool) -> Self {
        Self { sqs, create_missing, known: RwLock::default() }
    }

    /// The URL of `queue`, which is made where that is allowed.
    pub(super) async fn get(&self, queue: &QueueName) -> PortResult<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(queue).cloned();
        if let Some(url) = known {
            return Ok(url);
        }
        let url = match self.sqs.get_queue_url().queue_name(queue.as_str()).send().await {
            Ok(found) => found.queue_url.unwrap_or_default(),
            Err(error) if is_queue_missing(&error) && self.create_missing => {
                self.create(queue).await?
            }
            Err(error) => return Err(self.failed("looking for a queue", queue, error)),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(queue.clone(), url.clone());
        Ok(url)
    }

    /// What a failed call at `queue` is to the caller of the port. A queue that is not there is
    /// looked for again the next time.
    pub(super) fn failed<E>(&self, what: &str, queue: &QueueName, error: SdkError<E>) -> PortError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if !is_queue_missing(&error) {
            return failed(format!("{what} ({queue})"), error);
        }
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(queue);
        let what = format!("{what}: there is no queue `{queue}`, which `flota provision` makes");
        failed_for_good(what, error)
    }

    /// Makes `queue` and its dead-letter queue, as `flota provision` would.
    async fn create(&self, queue: &QueueName) -> PortResult<String> {
        let dlq = queue.dlq();
        let url = self.create_one(&dlq, queues::dlq_attributes()).await?;
        let asked = self.sqs.get_queue_attributes().queue_url(url);
        let answer = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        let answer = answer.map_err(|error| self.failed("making a queue", &dlq, error))?;
        let arn = answer.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn));
        self.create_one(queue, queues::attributes(arn.map_or("", String::as_str))).await
    }

    async fn create_one(&self, queue: &QueueName, with: Vec<Attribute>) -> PortResult<String> {
        let asked = self.sqs.create_queue().queue_name(queue.as_str());
        let made = asked.set_attributes(Some(with.into_iter().collect())).send().await;
        let made = made.map_err(|error| self.failed("making a queue", queue, error))?;
        Ok(made.queue_url.unwrap_or_default())
    }
}
