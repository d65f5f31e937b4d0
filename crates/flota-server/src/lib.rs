//! The server: the HTTP API, recorder, sweeper, notifier and ingest. A process runs any of these
//! roles.

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
