//! From a message to its outcomes: poll, fetch, decode, batch, infer, report.

mod batch;
mod compute;
mod elsewhere;
mod end;
mod gate;
mod handler;
mod image;
mod in_hand;
mod infer;
mod known;
mod outbox;
mod parked;
mod report;
mod served;
mod stages;
mod start;
mod suspect;
mod task;
#[cfg(test)]
pub(crate) mod tests;
mod threads;
mod watchdog;

pub(crate) use handler::Pipeline;
pub use infer::BeforeInfer;
pub(crate) use start::{LoadedModel, Parts, thread_count};
pub(crate) use watchdog::Watchdog;
