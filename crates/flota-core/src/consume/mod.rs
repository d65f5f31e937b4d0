//! The one loop that takes deliveries from queues: workers, the recorder and ingest run it. It decodes
//! each message once and hands it to its [`Handler`].

mod consumer;
mod handler;
mod health;
mod lease;
mod queue_loop;
mod slots;

pub use consumer::{ConsumeSettings, Consumer, WeightedQueue};
pub use handler::{Handled, Handler, Unreadable, dead_letter_unreadable};
pub use health::PollHealth;
pub use lease::Lease;

/// Longest call to a queue that releases or acknowledges. Adapters have shorter bounds of their own;
/// this one keeps an adapter that hangs from keeping the loop from its end.
const CALL_BOUND: std::time::Duration = std::time::Duration::from_secs(10);
