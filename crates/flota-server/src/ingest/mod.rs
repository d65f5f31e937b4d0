//! Reads what S3 tells of uploads and has models look at them as the rules say.

mod handler;
mod packer;
mod requests;
mod start;
#[cfg(test)]
mod tests;

pub(crate) use start::consumer;
