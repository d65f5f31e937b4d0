//! AWS: queues on SQS, records in DynamoDB, images in S3, and the same against an emulator.

mod checks;
mod clients;
mod error;
mod gathered;
mod images;
mod messages;
mod meter;
mod open;
mod queue;
mod queue_urls;
mod queues;
mod records;
mod tables;

pub mod provision;

pub use checks::run_checks;
pub use clients::{Clients, ClientsError};
pub(crate) use error::is_denied;
pub use open::{OpenError, open, open_with};
