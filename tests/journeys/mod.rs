//! Whole ways through the real binaries.

mod aws;
mod bad_input;
mod command;
mod groups;
mod kills;
mod poison;
mod replay;
mod requests;
mod stops;
