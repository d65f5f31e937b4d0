//! What is wrong with a set-up, and what to change. Nothing is changed here.

mod check;
mod examine;
mod models;
mod settings;

pub use check::{Check, Verdict};
pub use examine::examine;
