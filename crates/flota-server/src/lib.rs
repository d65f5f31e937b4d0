//! The server: the HTTP API, and beside it the recorder, the sweeper, the notifier and the
//! ingest, each alone or together in a process.

mod api;
mod backlog;
mod cache;
mod connections;
mod dispatch;
mod dlq_drain;
mod evidence;
mod groups;
mod ingest;
mod metrics;
mod notifications;
mod notifier;
mod queues;
mod recorder;
mod replay;
mod request_state;
mod rerouting;
mod retention;
mod roles;
mod server;
mod shares;
mod submissions;
mod sweeper;
#[cfg(test)]
mod testing;

pub use notifier::{SecretError, SigningSecrets, read_callback_secret};
pub use server::run;
