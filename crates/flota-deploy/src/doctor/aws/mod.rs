//! What is wrong with a set-up on AWS.

mod buckets;
mod clock;
mod permissions;
mod rights;
mod run;

pub use run::run_checks;
