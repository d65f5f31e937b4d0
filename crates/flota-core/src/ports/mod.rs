//! The outside world, as the domain wants it. Every adapter passes one contract suite per port.

mod clock;
mod images;
mod poster;
mod queue;
mod records;
mod registry;

pub use clock::Clock;
pub use images::{FetchError, Images, UPLOADED_PREFIX};
pub use poster::{PostAnswer, PostError, PostRequest, Poster};
pub use queue::{Delivery, Depth, NewMessage, Queue, Receipt};
pub use records::{
    Accept, Accepted, Callbacks, DeadLetterFilter, DeadLetters, Finish, IdempotencyKey,
    Predictions, Recorded, Requests,
};
pub use registry::{Models, RegisteredModel, Registration, RegistrationOutcome, WorkerLine};
