//! The fleet on one machine: a server process, its worker processes, and who keeps them.

mod child;
mod models;
mod plan;
mod running;
mod stop;
mod supervisor;
mod workers;

pub(crate) use models::{Chosen, FoundModel, choose, find_all, find_named, prepare, unpack};
pub(crate) use plan::Plan;
pub(crate) use running::{Fleet, LISTENING};
pub(crate) use stop::Stop;
pub(crate) use workers::{PlannedWorker, check_groups, workers};
