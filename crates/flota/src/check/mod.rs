//! `flota model check`: is a model folder fit to be served?

mod changes;
mod evidence;
mod finding;
mod input;
mod labels;
mod network;
mod output;
mod range;
mod run;
mod steadiness;
#[cfg(test)]
mod testing;

pub(crate) use run::check;
