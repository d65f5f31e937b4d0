//! From tensors to a network's numbers. Which engine runs the network is known here alone.

mod engine;
mod error;
mod graph;
mod tract;

pub(crate) use engine::load;
pub use engine::{Engine, Session};
pub use error::{InferError, LoadError};
