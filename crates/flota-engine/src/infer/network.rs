//! What every engine does with a network, and what a fake one does in a test: named tensors in, named
//! tensors out. What the tensors mean is for the [`Model`](crate::Model) to know.

use super::InferError;
use crate::{ElementType, NamedTensors, TensorSpec};

/// A network that is loaded and checked, shared by all threads that run it.
pub trait Network: Send + Sync {
    /// What it is fed for each item, in the order in which it was asked for.
    fn inputs(&self) -> &[TensorSpec];

    /// What it gives of each item, in the order in which it was asked for.
    fn outputs(&self) -> &[TensorSpec];

    /// A session that runs an item in `threads` threads, or in one where the engine knows no other:
    /// see [`Runtime::spreads_images`](super::Runtime::spreads_images). Sessions share the weights where the
    /// engine can.
    ///
    /// # Errors
    /// If the engine cannot set one up.
    fn session(&self, threads: usize) -> Result<Box<dyn Session>, InferError>;
}

/// One executable instance of a network. It runs one batch after the other.
pub trait Session: Send {
    /// The [outputs](Network::outputs) of each item of `batch`, in its order.
    ///
    /// # Errors
    /// If one of the batch cannot be run; it may be run alone to find out which.
    fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError>;
}

/// An output that a model reads.
#[derive(Debug, Clone, Copy)]
pub struct OutputRequest<'a> {
    /// Its name in the graph; `None` where the graph has only one.
    pub name: Option<&'a str>,
    /// The type that its numbers must have; any where `None`.
    pub element: Option<ElementType>,
}

/// A network in an engine, with the session that comes of checking it: making one takes long.
pub struct LoadedNetwork {
    /// The network.
    pub network: Box<dyn Network>,
    /// A session of one thread.
    pub session: Box<dyn Session>,
}
