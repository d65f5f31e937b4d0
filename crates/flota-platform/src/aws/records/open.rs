use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::Client;
use flota_core::ports::{Aliases, Callbacks, DeadLetters, Models, Predictions, Replays, Requests};

use super::{
    aliases::DynamoAliases, callbacks::DynamoCallbacks, dead_letters::DynamoDeadLetters,
    models::DynamoModels, predictions::DynamoPredictions, replays::DynamoReplays,
    requests::DynamoRequests, table::Table,
};

/// The record ports on DynamoDB.
pub(in crate::aws) struct Records {
    pub(in crate::aws) requests: Arc<dyn Requests>,
    pub(in crate::aws) predictions: Arc<dyn Predictions>,
    pub(in crate::aws) aliases: Arc<dyn Aliases>,
    pub(in crate::aws) callbacks: Arc<dyn Callbacks>,
    pub(in crate::aws) dead_letters: Arc<dyn DeadLetters>,
    pub(in crate::aws) replays: Arc<dyn Replays>,
    pub(in crate::aws) models: Arc<dyn Models>,
}

/// The records of the fleet named `prefix`. What belongs to a request may be deleted when it was
/// submitted `kept_for` ago; without that it is kept for good. Nothing is called yet.
pub(in crate::aws) fn open(client: &Client, prefix: &str, kept_for: Option<Duration>) -> Records {
    let table = |what| Table::new(client.clone(), prefix, what);
    let (requests, dead_letters) = (table("requests"), table("dead-letters"));
    Records {
        requests: Arc::new(DynamoRequests::new(requests.clone(), kept_for)),
        predictions: Arc::new(DynamoPredictions::new(table("predictions"))),
        aliases: Arc::new(DynamoAliases::new(table("aliases"))),
        callbacks: Arc::new(DynamoCallbacks::new(requests)),
        dead_letters: Arc::new(DynamoDeadLetters::new(dead_letters.clone())),
        replays: Arc::new(DynamoReplays::new(dead_letters)),
        models: Arc::new(DynamoModels::new(table("models"))),
    }
}
