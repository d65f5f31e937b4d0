//! What every adapter of a port must do. Each suite takes fresh adapters and knows nothing of
//! what is behind them; `memory.rs`, `embedded.rs` and `aws.rs` run them all.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

#[path = "../aws/account.rs"]
mod account;
mod aliases;
mod aws;
mod callbacks;
mod dead_letters;
mod embedded;
#[path = "../emulator/mod.rs"]
mod emulator;
mod fresh;
mod images;
mod leases;
mod memory;
mod models;
mod predictions;
mod processes;
mod queue;
mod replays;
mod requests;
mod retention;
mod rounds;
mod samples;
mod sharing;
