//! Everything in this process's memory: for unit tests and simulation. It passes the same suites
//! as the durable adapters, and there are no other mocks.

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
