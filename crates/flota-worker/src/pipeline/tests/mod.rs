//! The pipeline through its ports, over the in-memory adapters and a scripted model.

mod copies;
pub(crate) mod fleet;
mod groups;
mod leases;
mod objects;
mod outcomes;
mod suspects;
mod ways;
