//! From bytes to upright pixels, under limits.

mod bmp;
mod bmp_header;
mod bmp_runs;
mod color;
mod decoded_image;
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
mod png;
mod raster;
#[cfg(test)]
mod tests;
mod tiff;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod unread;
mod webp;

pub use decoded_image::{
    ColorSettings, DecodedImage, ImageFormat, JpegScaling, decode, decode_for,
};
pub(crate) use decoded_image::{EIGHTHS, RGB_BYTES};
pub use error::{Cause, DecodeError};
