//! Which engines there are.

use std::fmt;

use flota_core::InputSpec;

use super::{LoadError, LoadedNetwork, Network, OnnxRuntime, OutputRequest, tract::TractNetwork};
use crate::Weights;

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

    /// Loads `weights` to be fed `inputs`, all that the graph takes, and to give `outputs`. Types and shapes of
    /// the inputs are checked against the graph's.
    ///
    /// # Errors
    /// What does not fit, and what would: see [`LoadError`].
    pub fn load(
        &self,
        weights: &Weights,
        inputs: &[InputSpec],
        outputs: &[OutputRequest<'_>],
    ) -> Result<LoadedNetwork, LoadError> {
        match self {
            Self::Tract => {
                let network = TractNetwork::load(weights, inputs, outputs)?;
                let session = network.session(1).map_err(LoadError::FirstRun)?;
                Ok(LoadedNetwork { network: Box::new(network), session })
            }
            Self::OnnxRuntime(library) => library.load(weights, inputs, outputs),
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
