//! The ports: traits for everything outside of the domain. All adapters of a port pass the same
//! contract tests.

mod clock;
mod dead_letters;
mod images;
mod poster;
mod queue;
mod records;
mod registry;
mod retention;
mod store;

pub mod queue_bounds;
pub mod uploaded;

pub use clock::Clock;
pub use dead_letters::{DeadLetterFilter, DeadLetterPage, DeadLetters, ReplayStart, Replays};
pub use images::{FetchError, FetchPlace, Images, Retry, StagedFile, UPLOADED_PREFIX};
pub use poster::{PostAnswer, PostError, PostRequest, Poster};
pub use queue::{Backlog, Delivery, Depth, NewMessage, Queue, ReceiptHandle};
pub use records::{
    Accept, Accepted, Aliases, Callbacks, Finish, IdempotencyKey, Predictions, Recorded, Requests,
};
pub use registry::{
    Models, RegisteredModel, Registration, RegistrationOutcome, Service, Throughput,
    WorkerHeartbeat,
};
pub use retention::{Deleted, Retention, StoredKind};
pub use store::Store;
