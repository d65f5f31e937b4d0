//! What an engine must do.

use flota_core::{InputSpec, OutputSpec};

use super::{InferError, LoadError, tract};
use crate::Tensor;

/// A network that is loaded and checked, shared by all threads that run it.
pub trait Engine: Send + Sync {
    /// How many numbers the network answers of one image.
    fn output_count(&self) -> usize;

    /// A session for one thread. Sessions share the weights.
    ///
    /// # Errors
    /// If the engine cannot set one up.
    fn session(&self) -> Result<Box<dyn Session>, InferError>;
}

/// Runs a network in one thread.
pub trait Session: Send {
    /// The answers to `batch`, in its order, each [`Engine::output_count`] long.
    ///
    /// # Errors
    /// If one of the batch cannot be run; it may be run alone to find out which.
    fn run(&mut self, batch: &[Tensor]) -> Result<Vec<Vec<f32>>, InferError>;
}

/// Loads the ONNX file `weights` into the engine of choice, and checks it against what the
/// manifest says of its input and output.
pub(crate) fn load(
    weights: &[u8],
    input: &InputSpec,
    output: &OutputSpec,
) -> Result<Box<dyn Engine>, LoadError> {
    Ok(Box::new(tract::TractEngine::load(weights, input, output)?))
}
