//! What was said of an image before is not computed again.

use std::{collections::BTreeMap, sync::Arc};

use flota_core::{Prediction, PredictionKey, ports::Predictions};
use tokio::sync::{mpsc, oneshot};

/// Questions that wait for the look-up before theirs to end; beyond that, whoever asks waits.
const WAITING_COUNT: usize = 256;
/// Most keys of one look-up: what DynamoDB takes in one call.
const MAX_KEYS: usize = 100;

/// Asks the store for predictions. Whatever waits while a look-up is under way is asked together
/// in the next.
#[derive(Clone)]
pub(crate) struct Known {
    waiting: mpsc::Sender<Question>,
}

struct Question {
    key: PredictionKey,
    reply: oneshot::Sender<Prediction>,
}

impl Known {
    /// Starts the asking task; it ends with the last handle.
    pub(crate) fn start(predictions: Arc<dyn Predictions>) -> Self {
        let (waiting, questions) = mpsc::channel(WAITING_COUNT);
        tokio::spawn(answer_all(predictions, questions));
        Self { waiting }
    }

    /// The prediction named `key`, if it is known. A development version never is, and where the
    /// store does not answer nothing is: then it is computed.
    pub(crate) async fn get(&self, key: &PredictionKey) -> Option<Prediction> {
        if key.version.is_dev() {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        self.waiting.send(Question { key: key.clone(), reply }).await.ok()?;
        answer.await.ok()
    }
}

async fn answer_all(predictions: Arc<dyn Predictions>, mut waiting: mpsc::Receiver<Question>) {
    let mut questions = Vec::with_capacity(MAX_KEYS);
    while waiting.recv_many(&mut questions, MAX_KEYS).await > 0 {
        let mut by_key: BTreeMap<PredictionKey, Vec<oneshot::Sender<Prediction>>> = BTreeMap::new();
        for question in questions.drain(..) {
            by_key.entry(question.key).or_default().push(question.reply);
        }
        let keys: Vec<PredictionKey> = by_key.keys().cloned().collect();
        let found = match predictions.get(&keys).await {
            Ok(found) => found,
            Err(error) => {
                let key_count = keys.len();
                tracing::warn!(%error, key_count, "predictions could not be looked up");
                continue;
            }
        };
        for prediction in found {
            for reply in by_key.remove(&prediction.key).into_iter().flatten() {
                let _ = reply.send(prediction.clone());
            }
        }
    }
}
