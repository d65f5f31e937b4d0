//! The outside world behind the ports: stores, queues, HTTP out, settings, logs and signals. The adapters of AWS and
//! those of the embedded store are a feature each, `aws` and `embedded`: a crate that opens no store compiles neither.

mod clock;
mod disk;
mod platform;
mod staging;

#[cfg(feature = "aws")]
pub mod aws;
pub mod content_encoding;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod net;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

pub use clock::SystemClock;
pub use disk::{
    DiskLow, DiskReserve, DiskSpace, ReadDiskSpace, create_private_dir, ignore_file_size_signal,
};
pub use platform::{OpenError, Platform};
pub use staging::{DecodeError, Staged, StagedImage, Staging};
