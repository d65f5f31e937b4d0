//! Runs dead tasks again: one at once, or many by a replay that any server goes on with.

mod driven;
mod judge;
mod replayer;
mod rerun;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use replayer::Replayer;
pub(crate) use rerun::{Rerun, Reruns};
