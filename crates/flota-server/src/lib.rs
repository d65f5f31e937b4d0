//! The server: the HTTP API, and beside it the recorder, the sweeper, the notifier and the
//! ingest, each alone or together in a process.

mod api;
mod backlog;
mod cache;
mod connections;
mod crash_nets;
mod dispatch;
mod evidence;
mod groups;
mod ingest;
mod intake;
mod metrics;
mod moves;
mod notifier;
mod queues;
mod recorder;
mod replay;
mod retention;
mod roles;
mod routes;
mod server;
mod shares;
mod standing;
mod sweeper;
#[cfg(test)]
mod testing;
mod views;
mod wakeups;

pub use notifier::{SecretError, SigningSecrets, read_callback_secret};
pub use server::run;
