use std::sync::Arc;

use tokio::{sync::mpsc, task::JoinSet, time};
use tracing::warn;

use super::CALL_BOUND;
use crate::{
    QueueName,
    limits::MAX_QUEUE_BATCH,
    ports::{Queue, Receipt},
};

/// Calls that may be under way at once: an adapter may hold each for a while, so that others join it.
const MAX_CALLS: usize = 64;

/// Settles what is done, in batches of whatever has gathered. It does not try again: a message
/// that stays comes back, and what it says a second time changes nothing.
pub(super) async fn settle_all(
    queue: Arc<dyn Queue>,
    name: QueueName,
    mut done: mpsc::Receiver<Receipt>,
) {
    let mut calls = JoinSet::new();
    let mut batch = Vec::with_capacity(MAX_QUEUE_BATCH);
    while done.recv_many(&mut batch, MAX_QUEUE_BATCH).await > 0 {
        let batch = std::mem::replace(&mut batch, Vec::with_capacity(MAX_QUEUE_BATCH));
        calls.spawn(settle(Arc::clone(&queue), name.clone(), batch));
        while calls.try_join_next().is_some() {}
        if calls.len() >= MAX_CALLS {
            calls.join_next().await;
        }
    }
    while calls.join_next().await.is_some() {}
}

async fn settle(queue: Arc<dyn Queue>, name: QueueName, batch: Vec<Receipt>) {
    match time::timeout(CALL_BOUND, queue.settle(&name, &batch)).await {
        Ok(Ok(results)) => {
            for error in results.into_iter().filter_map(Result::err) {
                warn!(queue = %name, %error, "settling a message failed, it will come again");
            }
        }
        Ok(Err(error)) => {
            warn!(queue = %name, %error, "settling failed, the messages will come again");
        }
        Err(_) => warn!(queue = %name, "settling had no answer, the messages may come again"),
    }
}
