//! Delivers signed callbacks on a schedule. A receiver that fails does not affect others.

mod attempt;
mod bodies;
mod body;
mod notifier_loop;
mod receivers;
mod schedule;
mod secrets;
#[cfg(test)]
mod tests;

pub(crate) use attempt::Attempts;
pub(crate) use bodies::Bodies;
pub(crate) use notifier_loop::Notifier;
pub use secrets::{SecretError, SigningSecrets, read_callback_secret};
