//! HTTP out: where it may go, and what comes of what a server answers.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

mod addresses;
mod fetch;
mod post;
mod server;
mod stale;
mod ways;
mod web;
