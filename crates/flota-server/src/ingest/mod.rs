//! Reads S3's upload events and applies the ingest rules to them.

mod handler;
mod packer;
mod requests;
mod start;
#[cfg(test)]
mod tests;

pub(crate) use start::consumer;
