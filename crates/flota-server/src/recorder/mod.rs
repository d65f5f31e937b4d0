//! Consumes outcomes and records each exactly once.

mod handler;
mod recording;
#[cfg(test)]
mod tests;
mod uploads;

pub(crate) use handler::Recorder;
pub(crate) use recording::Recording;
