//! `flota model check`: is a model folder fit to be served?

mod finding;
mod input;
mod output;
mod run;

pub(crate) use run::check;
