//! `flota model check`: is a model folder fit to be served?

mod run;

pub(crate) use run::check;
