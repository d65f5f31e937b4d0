//! Everything in one folder of this machine: SQLite for queues and records, files for images.
//! Several processes share the folder.

mod aliases;
mod callbacks;
mod clock_jumps;
mod columns;
mod database;
mod dead_letters;
mod error;
mod examine;
mod holders;
mod images;
mod messages;
mod models;
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
mod wakes;
mod writer;

pub use error::OpenError;
pub(crate) use examine::examine;
pub use holders::end_leases;
pub use open::{create_private_dir, open};
pub use vacuum::rewrite;
