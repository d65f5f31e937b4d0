//! One file per command.

mod completions;
mod dead_letters;
mod doctor;
mod engine;
mod found;
mod models;
mod predict;
mod provision;
mod serve;
mod status;
mod up;
mod vacuum;

pub(crate) use completions::completions;
pub(crate) use dead_letters::dead_letters;
pub(crate) use doctor::doctor;
pub(crate) use engine::engine;
pub(crate) use models::models;
pub(crate) use predict::predict;
pub(crate) use provision::provision;
pub(crate) use serve::serve;
pub(crate) use status::{print_request, status};
pub(crate) use up::{choose, up, workers};
pub(crate) use vacuum::vacuum;
