//! From tensors to a network's numbers. Which engine runs the network is known here alone.

mod engine;
mod error;
mod external_data;
mod foreign;
mod graph;
mod graph_cache;
mod library;
mod metadata;
mod onnx_runtime;
mod structure;
mod telemetry;
mod tract;
mod wire;

pub(crate) use engine::Loaded;
pub use engine::{Engine, Runtime, Session};
pub use error::{InferError, LoadError};
pub(crate) use foreign::named as foreign_file;
pub use library::{
    LibraryError, ONNX_RUNTIME_INSTALLER, ONNX_RUNTIME_LIBRARY, OnnxRuntime, Provider,
};
pub(crate) use metadata::metadata;
pub use structure::{Activation, End, Structure};
pub use telemetry::disable_telemetry;
