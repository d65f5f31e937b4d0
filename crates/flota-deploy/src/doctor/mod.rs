//! What is wrong with a set-up, and what to change. Nothing is changed here.

mod aws;
mod check;
mod data_folder;
mod models;
mod run;
mod settings;

pub use aws::run_checks as run_aws_checks;
pub use check::{Check, Verdict};
pub use run::run_checks;
