//! Replays of dead letters: of one at once, or of many by a replay that any server may continue.

mod active;
mod evaluate;
mod replayer;
mod runner;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use replayer::Replayer;
pub(crate) use runner::{ReplayResult, ReplayRunner};
