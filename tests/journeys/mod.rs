//! Whole ways through the real binaries.

mod bad_input;
mod command;
mod kills;
mod poison;
mod requests;
mod stops;
