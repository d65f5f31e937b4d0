//! What is wrong with a set-up on AWS.

mod buckets;
mod clock;
mod look;
mod permissions;
mod rights;

pub use look::examine;
