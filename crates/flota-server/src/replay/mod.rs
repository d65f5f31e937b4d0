//! Runs dead tasks again: one at once, or many by a replay that any server goes on with.

mod active;
mod evaluate;
mod replayer;
mod runner;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use replayer::Replayer;
pub(crate) use runner::{ReplayResult, ReplayRunner};
