//! What the adapters of AWS promise beyond the contract of their ports.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

#[allow(dead_code, reason = "the contract uses all of it")]
mod account;
mod costs;
#[path = "../emulator/mod.rs"]
mod emulator;
mod faults;
mod lost_answers;
mod meters;
mod objects;
mod queues;
mod record_faults;
mod records;
#[path = "../contract/samples.rs"]
#[allow(dead_code, reason = "the contract uses all of it")]
mod samples;
#[path = "../net/server.rs"]
#[allow(dead_code, reason = "it is the server of the tests of HTTP")]
mod server;
