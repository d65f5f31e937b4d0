//! The loop over queues that workers, the recorder and ingest share. It decodes each message once
//! and passes it to a [`Handler`].

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

/// Longest call to a queue that releases or acknowledges. Adapters have shorter timeouts of their
/// own; with this one the loop ends even if an adapter hangs.
const CALL_BOUND: std::time::Duration = std::time::Duration::from_secs(10);
