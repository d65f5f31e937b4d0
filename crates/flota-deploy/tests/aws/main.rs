//! `flota provision` and `flota doctor` against an emulator of AWS.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

#[path = "../../../flota-platform/tests/aws/account.rs"]
#[allow(dead_code, reason = "the contract of the adapters uses all of it")]
mod account;
mod doctor;
#[path = "../../../flota-platform/tests/emulator/mod.rs"]
mod emulator;
mod provision;
#[path = "../../../flota-platform/tests/net/server.rs"]
#[allow(dead_code, reason = "it is the server of the tests of HTTP")]
mod server;
