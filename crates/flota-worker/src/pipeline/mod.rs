//! From a message to its outcomes: poll, fetch, decode, batch, infer, report. Read it top-down:
//!
//! | file | what |
//! |---|---|
//! | `handler` | a message of the queue, and how the pipeline is put together |
//! | `tasks` | its tasks: a first delivery beside others, a later one isolated |
//! | `image` | the models of one image: cache, fetch, decode, infer, under one `single_flight` map |
//! | `cache`, `prepare`, `batch`, `infer` | the stages of an image; `permit` says which run side by side |
//! | `attempt`, `result` | what answers an attempt, and what becomes of its task |
//! | `report`, `sender` | results are made durable |

mod attempt;
mod batch;
mod cache;
mod handler;
mod image;
mod infer;
mod permit;
mod prepare;
mod report;
mod result;
mod sender;
mod single_flight;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use handler::{Parts, Pipeline, thread_count};
pub(crate) use infer::{BatchSession, LoadedModel};
