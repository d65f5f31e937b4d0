//! Whole ways through the real binaries.

mod aws;
mod bad_input;
mod checks;
mod client;
mod command;
mod disk;
mod embeddings;
mod first_contact;
mod groups;
mod kills;
mod poison;
mod replay;
mod requests;
mod stops;
mod submitting;
