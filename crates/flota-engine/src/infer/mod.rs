//! From named tensors to named tensors. Which engine runs the network is known here alone.

mod error;
mod external_data;
mod foreign;
mod graph;
mod graph_cache;
mod library;
mod metadata;
mod network;
mod onnx_runtime;
mod runtime;
mod structure;
mod telemetry;
mod tract;
mod wire;

pub use error::{InferError, LoadError};
pub(crate) use foreign::named as foreign_file;
pub(crate) use graph::output_mismatch;
pub use library::{
    LibraryError, ONNX_RUNTIME_INSTALLER, ONNX_RUNTIME_LIBRARY, OnnxRuntime, Provider,
};
pub(crate) use metadata::metadata;
pub use network::{LoadedNetwork, Network, OutputRequest, Session};
pub use runtime::Runtime;
pub use structure::{Activation, End, Structure};
pub use telemetry::disable_telemetry;
