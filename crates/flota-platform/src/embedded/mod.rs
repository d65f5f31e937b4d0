//! Everything in one folder of this machine: SQLite for queues and records, files for images.
//! Several processes share the folder.

mod aliases;
mod callbacks;
mod clock_jumps;
mod columns;
mod database;
mod dead_letters;
mod error;
mod holders;
mod images;
mod inspect;
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

pub use error::OpenError;
pub use holders::end_leases;
pub use inspect::{DATABASES, DatabaseState, inspect};
pub use open::open;
pub use vacuum::rewrite;
