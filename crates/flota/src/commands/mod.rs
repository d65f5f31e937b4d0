//! One file per command.

mod dead_letters;
mod models;
mod serve;
mod status;
mod submit;
mod up;

pub(crate) use dead_letters::dead_letters;
pub(crate) use models::models;
pub(crate) use serve::serve;
pub(crate) use status::status;
pub(crate) use submit::{submit, upload};
pub(crate) use up::{choose, up};
