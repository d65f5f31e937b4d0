//! The pipeline through its ports, over the in-memory adapters and a scripted model.

mod copies;
mod fetch_faults;
pub(crate) mod fleet;
mod groups;
mod isolated;
mod leases;
mod objects;
mod outcomes;
mod virtual_time;
