//! The one way in: which decoder decodes a file, and within which limits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flota_core::{InputSpec, Limits};

use super::{
    DecodeError, DecodedImage, ImageFormat, bmp, decoded_image::ColorSettings, gif, jpeg, png,
    tiff, webp,
};

/// Decodes `bytes`, whatever they are: turned upright by EXIF, alpha over white, 16 bits to 8.
/// What is too large by its header is refused before anything of its size is allocated.
///
/// # Errors
/// See [`DecodeError`]; nothing is returned of a file that ends early.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<DecodedImage, DecodeError> {
    decode_for(bytes, limits, None)
}

/// As [`decode`], but with alpha and colour profile as `input` asks, and a JPEG may come out smaller, as
/// far as it allows. [`DecodedImage::suits`] says which other inputs the image is for.
///
/// # Errors
/// As [`decode`].
pub fn decode_for(
    bytes: &[u8],
    limits: &Limits,
    input: Option<&InputSpec>,
) -> Result<DecodedImage, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.len() as u64 > limits.max_bytes {
        let (found, limit) = (bytes.len(), limits.max_bytes);
        let what = format!("the image has {found} bytes, and the limit is {limit}");
        return Err(DecodeError::too_large(what));
    }
    let format = ImageFormat::of(bytes).map_err(DecodeError::unsupported)?;
    let settings = input.map(ColorSettings::from).unwrap_or_default();
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let stored = match format {
            ImageFormat::Jpeg => return jpeg::decode(bytes, limits, input, settings),
            ImageFormat::Png => png::decode(bytes, limits),
            ImageFormat::Gif => gif::decode(bytes, limits),
            ImageFormat::WebP => webp::decode(bytes, limits),
            ImageFormat::Bmp => bmp::decode(bytes, limits),
            ImageFormat::Tiff => tiff::decode(bytes, limits),
        };
        Ok(stored?.finish(settings))
    }));
    decoded.unwrap_or(Err(DecodeError::Panicked { format }))
}
