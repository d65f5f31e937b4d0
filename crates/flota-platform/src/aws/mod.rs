//! AWS: queues on SQS, records in DynamoDB, images in S3, and the same against an emulator. `create`, `queues` and
//! `tables` say what a fleet needs there, also to `flota-deploy`.

mod clients;
mod error;
mod gathered;
mod images;
mod messages;
mod meter;
mod open;
mod queue;
mod queue_urls;
mod records;

pub mod create;
pub mod queues;
pub mod tables;

pub use clients::{Clients, ClientsError};
pub use error::{failed, is_call_denied, is_denied};
pub use open::{OpenError, open, open_with};
