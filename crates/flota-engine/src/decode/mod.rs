//! From bytes to upright pixels, under limits.

mod error;
mod jpeg;
mod jpeg_color;
mod jpeg_frame;
mod jpeg_segments;
mod orientation;
mod picture;
mod raster;
#[cfg(test)]
mod tests;

pub use error::{Cause, DecodeError};
pub(crate) use picture::RGB_BYTES;
pub use picture::{DecodedImage, ImageFormat, decode};
