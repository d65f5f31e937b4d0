//! What every adapter of a port must do. Each suite takes fresh adapters and knows nothing of
//! what is behind them; `memory.rs` and `embedded.rs` run them all.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

mod callbacks;
mod dead_letters;
mod embedded;
mod fresh;
mod images;
mod leases;
mod memory;
mod models;
mod predictions;
mod processes;
mod queue;
mod requests;
mod rounds;
mod samples;
mod sharing;
