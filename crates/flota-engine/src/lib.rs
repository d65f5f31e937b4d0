//! From bytes to labelled output: decode under limits, resize as the manifest says, run, label.
//!
//! Synchronous and pure: no queue, no clock, and no I/O but the loading of an engine's library and
//! the optimised graphs that it keeps. One thread decodes or runs at a time per call; what is shared
//! between threads is immutable.

mod code;
mod decode;
mod infer;
mod model;
mod output_check;
mod postprocess;
mod preprocess;
mod probe;
mod tensor;
mod weights;

pub use code::{Hooks, ModelCode, ModelCodes, NetworkAnswer};
pub use decode::{
    Cause, ColorSettings, DecodeError, DecodedImage, ImageFormat, JpegScaling, decode, decode_for,
};
pub use infer::{
    Activation, End, InferError, LibraryError, LoadError, LoadedNetwork, Network,
    ONNX_RUNTIME_INSTALLER, ONNX_RUNTIME_LIBRARY, OnnxRuntime, OutputRequest, Provider, Runtime,
    Session, Structure, disable_telemetry,
};
pub use model::Model;
pub use preprocess::preprocess;
pub use probe::{ProbeAgain, ProbeAnswer};
pub use tensor::{ElementType, NamedTensors, Tensor, TensorData, TensorSpec};
pub use weights::{Hashed, Weights};
