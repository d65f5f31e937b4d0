//! WebP: what its container says beside the image.

use flota_core::{ImageFlag, Limits};

use super::{
    DecodeError, ImageFormat,
    color::Profile,
    exif,
    raster::{self, Description, Stored},
};

/// Bits of the flags in a `VP8X` chunk.
const HAS_PROFILE: u8 = 0x20;
const HAS_EXIF: u8 = 0x08;
const HAS_ANIMATION: u8 = 0x02;
/// Bytes before the first chunk: `RIFF`, a length, `WEBP`.
const HEADER_BYTES: usize = 12;

/// Decodes `bytes`, which begin like a WebP.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    raster::decode(bytes, ImageFormat::WebP, limits, describe(bytes))
}

/// A chunk that the flags do not announce is none, for libwebp, and so for browsers and Pillow.
fn describe(bytes: &[u8]) -> Description {
    let mut description = Description::default();
    let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let mut announced = 0;
    let mut frame_count = 0;
    let (mut icc, mut exif) = (None, None);
    while let Some((kind, data)) = next(&mut rest) {
        match kind {
            b"VP8X" => announced = data.first().copied().unwrap_or_default(),
            // The first of several counts, whatever it says.
            b"ICCP" if announced & HAS_PROFILE != 0 => icc = icc.or(Some(data)),
            b"EXIF" if announced & HAS_EXIF != 0 => exif = exif.or(Some(data)),
            b"ANMF" if announced & HAS_ANIMATION != 0 => frame_count += 1,
            _ => {}
        }
    }
    description.profile = icc.and_then(|icc| Profile::from_icc(icc, 3));
    description.orientation = exif.and_then(exif::orientation);
    if frame_count > 1 {
        description.flags.insert(ImageFlag::Animated);
    }
    description
}

/// Takes the next chunk, which is padded to an even length, from `rest`.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8; 4], &'a [u8])> {
    let (kind, after) = rest.split_first_chunk::<4>()?;
    let (length, after) = after.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let data = after.get(..length)?;
    *rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
    Some((kind, data))
}
