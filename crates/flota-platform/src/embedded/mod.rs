//! Everything in one folder of this machine: SQLite for queues and records, files for images.
//! Several processes share the folder.

mod aliases;
mod callbacks;
mod checks;
mod clock_jumps;
mod columns;
mod database;
mod dead_letters;
mod error;
mod holders;
mod images;
mod messages;
mod models;
mod notify;
mod open;
mod predictions;
mod queue;
mod readers;
mod replays;
mod requests;
mod retention;
mod rounds;
mod schema;
mod vacuum;
mod writer;

pub(crate) use checks::run_checks;
pub use error::OpenError;
pub use holders::end_leases;
pub use open::{create_private_dir, open};
pub use vacuum::rewrite;
