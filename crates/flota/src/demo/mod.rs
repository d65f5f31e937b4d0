//! `flota demo`: the whole way of an image, from a file to a verified callback.

mod receiver;
mod report;
mod run;

pub(crate) use run::demo;
