//! From bytes to upright pixels, under limits.

mod error;
mod jpeg;
mod jpeg_color;
mod jpeg_frame;
mod jpeg_segments;
mod jpeg_tables;
mod jpeg_unusual;
mod orientation;
mod picture;
mod raster;
#[cfg(test)]
mod tests;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod unread;

pub use error::{Cause, DecodeError};
pub use picture::{DecodedImage, ImageFormat, decode, decode_for};
pub(crate) use picture::{EIGHTHS, RGB_BYTES};
