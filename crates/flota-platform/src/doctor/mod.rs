//! What is wrong with a set-up, and what to change. Nothing is changed here.

mod check;
mod models;
mod run;
mod settings;

pub use check::{Check, Verdict};
pub use run::run_checks;
