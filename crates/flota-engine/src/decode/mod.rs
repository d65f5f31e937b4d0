//! From bytes to upright pixels, under limits.

mod bmp;
mod bmp_header;
mod bmp_runs;
mod color;
mod decoded_image;
mod entry;
mod error;
mod exif;
mod format;
mod gif;
mod jpeg;
mod jpeg_bits;
mod jpeg_color;
mod jpeg_frame;
mod jpeg_profile;
mod jpeg_scans;
mod jpeg_segments;
mod jpeg_tables;
mod jpeg_unusual;
mod orientation;
mod png;
mod raster;
mod scaling;
#[cfg(test)]
mod tests;
mod tiff;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod unread;
mod vp8l;
mod vp8l_bits;
mod webp;

pub(crate) use decoded_image::RGB_BYTES;
pub use decoded_image::{ColorSettings, DecodedImage};
pub use entry::{decode, decode_for};
pub use error::{Cause, DecodeError};
pub use format::ImageFormat;
pub(crate) use scaling::EIGHTHS;
pub use scaling::JpegScaling;
