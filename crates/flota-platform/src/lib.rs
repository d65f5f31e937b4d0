//! The outside world behind the ports: stores, queues, HTTP out, settings, logs and signals.

mod clock;
mod disk;
mod platform;
mod queue_bounds;
mod staging;
mod store;
mod uploaded;

pub mod aws;
pub mod content_encoding;
pub mod doctor;
pub mod embedded;
pub mod memory;
pub mod net;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

pub use clock::SystemClock;
pub use disk::{DiskLow, DiskReserve, DiskSpace, ReadDiskSpace, ignore_file_size_signal};
pub use platform::{OpenError, Platform};
pub use staging::{DecodeError, Staged, StagedImage, Staging};
pub use store::Store;
