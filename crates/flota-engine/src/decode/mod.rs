//! From bytes to upright pixels, under limits.

mod bmp;
mod bmp_header;
mod bmp_runs;
mod color;
mod error;
mod exif;
mod gif;
mod jpeg;
mod jpeg_color;
mod jpeg_frame;
mod jpeg_profile;
mod jpeg_segments;
mod jpeg_tables;
mod jpeg_unusual;
mod orientation;
mod picture;
mod png;
mod raster;
#[cfg(test)]
mod tests;
mod tiff;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod unread;
mod webp;

pub use error::{Cause, DecodeError};
pub use picture::{ColorSettings, DecodedImage, ImageFormat, decode, decode_for};
pub(crate) use picture::{EIGHTHS, RGB_BYTES};
