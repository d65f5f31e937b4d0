//! What an engine must do, and which there are.

use std::fmt;

use flota_core::{InputSpec, OutputSpec};

use super::{InferError, LoadError, OnnxRuntime, tract};
use crate::{Tensor, Weights};

/// A network that is loaded and checked, shared by all threads that run it.
pub trait Engine: Send + Sync {
    /// How many numbers the network answers of one image.
    fn output_count(&self) -> usize;

    /// A session that runs an image in `threads` threads, or in one where the engine knows no other:
    /// see [`Runtime::spreads_images`]. Sessions share the weights where the engine can.
    ///
    /// # Errors
    /// If the engine cannot set one up.
    fn session(&self, threads: usize) -> Result<Box<dyn Session>, InferError>;
}

/// Runs a network, one batch after the other.
pub trait Session: Send {
    /// The answers to `batch`, in its order, each [`Engine::output_count`] long.
    ///
    /// # Errors
    /// If one of the batch cannot be run; it may be run alone to find out which.
    fn run(&mut self, batch: &[Tensor]) -> Result<Vec<Vec<f32>>, InferError>;
}

/// A network in an engine, with the session that comes of checking it: making one takes long.
pub(crate) struct Loaded {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) session: Box<dyn Session>,
}

/// What networks are loaded into.
#[derive(Debug, Clone)]
pub enum Runtime {
    /// In Rust, and always there.
    Tract,
    /// By its library.
    OnnxRuntime(OnnxRuntime),
}

impl Runtime {
    /// Which build of the engine it is, as far as it says.
    pub fn build(&self) -> String {
        match self {
            Self::Tract => format!("tract of Flota {}", env!("CARGO_PKG_VERSION")),
            Self::OnnxRuntime(library) => format!("{library}, {}", ort::info()),
        }
    }

    /// Whether it runs networks on a GPU, which wants many images at once.
    pub fn is_on_gpu(&self) -> bool {
        matches!(self, Self::OnnxRuntime(library) if library.is_on_gpu())
    }

    /// Whether several threads of a session can share the work of an image.
    pub fn spreads_images(&self) -> bool {
        matches!(self, Self::OnnxRuntime(library) if !library.is_on_gpu())
    }

    /// Loads `weights`, and checks them against what the manifest says of its input and
    /// output.
    pub(crate) fn load(
        &self,
        weights: &Weights,
        input: &InputSpec,
        output: &OutputSpec,
    ) -> Result<Loaded, LoadError> {
        match self {
            Self::Tract => {
                let engine = tract::TractEngine::load(weights, input, output)?;
                let session = engine.session(1).map_err(LoadError::FirstRun)?;
                Ok(Loaded { engine: Box::new(engine), session })
            }
            Self::OnnxRuntime(library) => {
                let (engine, session) = library.load(weights, input, output)?;
                Ok(Loaded { engine: Box::new(engine), session: Box::new(session) })
            }
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tract => f.write_str("tract"),
            Self::OnnxRuntime(library) => library.fmt(f),
        }
    }
}
