//! From bytes to labelled output: decode under limits, resize as the manifest says, run, label.
//!
//! Synchronous and pure: no queue, no clock, and no I/O but the loading of an engine's library and
//! the optimised graphs that it keeps. One thread decodes or runs at a time per call; what is shared
//! between threads is immutable.

mod decode;
mod infer;
mod model;
mod postprocess;
mod preprocess;
mod probe;
mod weights;

pub use decode::{
    Cause, ColorSettings, DecodeError, DecodedImage, ImageFormat, JpegScaling, decode, decode_for,
};
pub use infer::{
    Activation, End, Engine, InferError, LibraryError, LoadError, ONNX_RUNTIME_INSTALLER,
    ONNX_RUNTIME_LIBRARY, OnnxRuntime, Provider, Runtime, Session, Structure, disable_telemetry,
};
pub use model::Model;
pub use preprocess::{Tensor, TensorData, preprocess};
pub use probe::{ProbeAgain, ProbeAnswer};
pub use weights::{Hashed, Weights};
