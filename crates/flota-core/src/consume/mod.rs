//! The one loop that takes deliveries from a queue: workers and the recorder run it.

mod consumer;
mod gather;
mod health;
mod lease;
mod settler;
mod slots;

pub use consumer::{ConsumeSettings, Consumer, Handled, Handler};
pub use gather::gather;
pub use health::PollHealth;
pub use lease::Lease;

/// Longest call to a queue that gives back or settles. Adapters have shorter bounds of their own;
/// this one keeps an adapter that hangs from keeping the loop from its end.
const CALL_BOUND: std::time::Duration = std::time::Duration::from_secs(10);
