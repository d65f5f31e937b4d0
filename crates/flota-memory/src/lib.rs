//! The ports over this process's memory, for unit tests and simulation. They pass the same contract suite as the
//! durable adapters; there are no other mocks of them.

mod aliases;
mod callbacks;
mod clock;
mod dead_letters;
mod images;
mod models;
mod open;
mod predictions;
mod queue;
mod replays;
mod requests;
mod retention;

pub use clock::{ManualClock, SeededClock};
pub use open::open;
