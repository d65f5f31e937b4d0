//! The server: the HTTP API, and beside it the recorder, the sweeper and the notifier.

mod api;
mod connections;
mod dispatch;
mod notifier;
mod recorder;
mod replay;
mod server;
mod standing;
mod sweeper;
#[cfg(test)]
mod testing;
mod views;
mod wakeups;

pub use notifier::{SecretError, SigningSecrets, read_callback_secret};
pub use server::run;
