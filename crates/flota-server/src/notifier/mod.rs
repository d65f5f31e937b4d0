//! Delivers callbacks: signed, on a schedule, and so that one dead receiver harms no other.

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
