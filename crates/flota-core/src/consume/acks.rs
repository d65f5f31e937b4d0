use std::sync::Arc;

use tokio::{sync::mpsc, task::JoinSet, time};
use tracing::warn;

use super::CALL_BOUND;
use crate::{
    QueueName,
    limits::MAX_QUEUE_BATCH,
    ports::{Queue, ReceiptHandle},
};

/// Calls that may be under way at once: an adapter may hold each for a while, so that others join it.
const MAX_CALLS: usize = 64;

/// Acknowledges what is done, in batches of what has accumulated. It does not retry: a message
/// that stays comes back, and what it says a second time changes nothing.
pub(super) async fn ack_all(
    queue: Arc<dyn Queue>,
    name: QueueName,
    mut done: mpsc::Receiver<ReceiptHandle>,
) {
    let mut calls = JoinSet::new();
    let mut batch = Vec::with_capacity(MAX_QUEUE_BATCH);
    while done.recv_many(&mut batch, MAX_QUEUE_BATCH).await > 0 {
        let batch = std::mem::replace(&mut batch, Vec::with_capacity(MAX_QUEUE_BATCH));
        calls.spawn(ack(Arc::clone(&queue), name.clone(), batch));
        while calls.try_join_next().is_some() {}
        if calls.len() >= MAX_CALLS {
            calls.join_next().await;
        }
    }
    while calls.join_next().await.is_some() {}
}

async fn ack(queue: Arc<dyn Queue>, name: QueueName, batch: Vec<ReceiptHandle>) {
    match time::timeout(CALL_BOUND, queue.ack(&name, &batch)).await {
        Ok(Ok(results)) => {
            for error in results.into_iter().filter_map(Result::err) {
                warn!(queue = %name, %error, "acknowledging a message failed, it will come again");
            }
        }
        Ok(Err(error)) => {
            warn!(queue = %name, %error, "acknowledging failed, the messages will come again");
        }
        Err(_) => warn!(queue = %name, "acknowledging had no answer, the messages may come again"),
    }
}
