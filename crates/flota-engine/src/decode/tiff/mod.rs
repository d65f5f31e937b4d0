//! TIFF: the first page, strip by strip or tile by tile.
//!
//! Read here rather than by a crate, for what cameras, scanners and `sharp` write has to come out as
//! it does in libtiff and Pillow, or be refused by name. Chunks are decompressed by crates, and JPEG
//! by what decodes JPEG files.

mod chunks;
mod colors;
mod compression;
mod directory;
mod layout;
mod samples;

use flota_core::{ImageFlag, Limits};
use image::metadata::Orientation;

use self::{
    directory::File,
    layout::{Layout, Photometric},
};
use super::{
    DecodeError, ImageFormat, color::Profile, decoded_image::check_size, error::Cause, orientation,
    raster::Stored,
};

const ORIENTATION: u16 = 274;
const ICC_PROFILE: u16 = 34_675;

/// Decodes `bytes`, which begin like a TIFF.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let (file, fields) = File::open(bytes)?;
    let layout = Layout::read(&fields)?;
    let size = (layout.width, layout.height);
    check_size(ImageFormat::Tiff, size, limits)?;
    let value = fields.number(ORIENTATION).and_then(|value| u8::try_from(value).ok());
    let orientation = value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms);
    let is_transposing = orientation::is_transposing(orientation);
    chunks::check(&file, &layout, is_transposing, limits)?;
    let pixels = chunks::read(&file, &layout, limits)?;
    let is_cmyk = layout.photometric == Photometric::Cmyk;
    let channels = layout.photometric.color_samples();
    let icc = fields.bytes(ICC_PROFILE).filter(|_| !is_cmyk);
    let flags = [(is_cmyk, ImageFlag::Cmyk), (fields.has_second_page(), ImageFlag::MultiPage)];
    Ok(Stored {
        format: ImageFormat::Tiff,
        size,
        pixels,
        orientation,
        profile: icc.and_then(|icc| Profile::from_icc(icc, channels)),
        flags: flags.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flag)| flag).collect(),
    })
}

/// A TIFF that is cut off or damaged, and how that was seen.
fn corrupt(cause: impl Into<Cause>) -> DecodeError {
    DecodeError::corrupt(ImageFormat::Tiff, cause)
}
