use std::sync::Arc;

use flota_core::{PortError, ports::Store};
use thiserror::Error;

use super::{
    Clients, ClientsError, create::create_missing, gathered::GatheredQueue, images::S3Images,
    queue::SqsQueue, records,
};
use crate::settings::Settings;

/// AWS cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The clients cannot be made.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// Something is missing and cannot be created.
    #[error("cannot create on AWS what is missing")]
    Create(#[source] PortError),
}

/// The queues, tables and buckets that `settings` name. Where they are to be made if they are
/// missing, tables and bucket are made now; otherwise no service is called yet.
///
/// # Errors
/// If no region is known, or something cannot be made.
pub async fn open(settings: &Settings) -> Result<Store, OpenError> {
    open_with(Clients::new(&settings.aws).await?, settings).await
}

/// As [`open`], through `clients`.
pub async fn open_with(clients: Clients, settings: &Settings) -> Result<Store, OpenError> {
    if settings.aws.create_missing {
        create_missing(&clients, settings).await.map_err(OpenError::Create)?;
    }
    let records = records::open(&clients.dynamodb, &settings.prefix, settings.aws.retain_requests);
    let queue = SqsQueue::new(clients.sqs, settings.aws.create_missing, settings.aws.call_timeout);
    Ok(Store {
        queue: Arc::new(GatheredQueue::new(Arc::new(queue))),
        requests: records.requests,
        predictions: records.predictions,
        aliases: records.aliases,
        callbacks: records.callbacks,
        dead_letters: records.dead_letters,
        replays: records.replays,
        models: records.models,
        images: Arc::new(S3Images::new(clients.s3, settings)),
        retention: None,
    })
}
