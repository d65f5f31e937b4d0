//! The first page of a TIFF: its pixels, and what fields say beside them.

use flota_core::{ImageFlag, Limits};
use image::metadata::Orientation;

use super::{
    chunks,
    directory::File,
    layout::{Layout, Photometric},
};
use crate::{
    DecodeError, ImageFormat,
    decode::{color::Profile, decoded_image::check_size, orientation, raster::Stored},
};

const ORIENTATION: u16 = 274;
const ICC_PROFILE: u16 = 34_675;

/// Decodes `bytes`, which begin like a TIFF.
pub(in crate::decode) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
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
