//! From tensors to a network's numbers. Which engine runs the network is known here alone.

mod engine;
mod error;
mod external_data;
mod graph;
mod kept_graphs;
mod library;
mod metadata;
mod onnx_runtime;
mod tract;
mod wire;

pub(crate) use engine::Loaded;
pub use engine::{Engine, Runtime, Session};
pub use error::{InferError, LoadError};
pub use library::{
    LibraryError, ONNX_RUNTIME_INSTALLER, ONNX_RUNTIME_LIBRARY, OnnxRuntime, Provider,
};
pub(crate) use metadata::metadata;
