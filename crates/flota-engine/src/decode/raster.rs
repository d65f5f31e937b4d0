//! All formats but JPEG, by the `image` crate.

use std::io::Cursor;

use flota_core::Limits;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, metadata::Orientation};

use super::{
    DecodeError, DecodedImage, ImageFormat, orientation,
    picture::{RGB_BYTES, check_memory, check_size},
};

/// Decodes `bytes` of `format`.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
) -> Result<DecodedImage, DecodeError> {
    if let Some(size) = bmp_size(bytes).filter(|_| format == ImageFormat::Bmp) {
        check_size(format, size, limits)?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), crate_format(format));
    reader.limits(crate_limits(limits));
    let mut decoder = reader.into_decoder().map_err(|error| from_image(format, error))?;
    let (width, height) = decoder.dimensions();
    check_size(format, (width, height), limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let is_transposing = orientation::is_transposing(orientation);
    let native_bytes = decoder.total_bytes();
    check_memory(memory_bytes(format, (width, height), native_bytes, is_transposing), limits)?;

    let image = DynamicImage::from_decoder(decoder).map_err(|error| from_image(format, error))?;
    let pixels = flatten(image);
    let (pixels, (width, height)) = orientation::turn(pixels, (width, height), orientation);
    Ok(DecodedImage::whole((width, height), pixels, format))
}

/// What a BMP header declares, read here because the crate has a limit of its own and calls what
/// is beyond it damaged. A negative height, of a picture stored from the top, counts by its size.
fn bmp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    const SIZE_AT: usize = 18;
    let number = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let header_bytes = number(SIZE_AT - 4)?;
    let is_current = header_bytes >= 40;
    let (width, height) = (number(SIZE_AT)?, number(SIZE_AT + 4)?);
    is_current.then_some((u32::try_from(width).ok()?, height.unsigned_abs()))
}

fn crate_format(format: ImageFormat) -> image::ImageFormat {
    match format {
        ImageFormat::Jpeg => image::ImageFormat::Jpeg,
        ImageFormat::Png => image::ImageFormat::Png,
        ImageFormat::Gif => image::ImageFormat::Gif,
        ImageFormat::WebP => image::ImageFormat::WebP,
        ImageFormat::Bmp => image::ImageFormat::Bmp,
        ImageFormat::Tiff => image::ImageFormat::Tiff,
    }
}

/// The crate's limit of memory. The size in pixels is checked here, where it can be told.
fn crate_limits(limits: &Limits) -> image::Limits {
    let mut crate_limits = image::Limits::no_limits();
    crate_limits.max_alloc = Some(limits.max_memory_bytes);
    crate_limits
}

/// Memory at its peak: the picture as the format has it, what the decoder keeps beside it, and
/// the second buffer that turning or another depth needs.
fn memory_bytes(
    format: ImageFormat,
    (width, height): (u32, u32),
    native_bytes: u64,
    is_transposing: bool,
) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    let beside = match format {
        ImageFormat::Gif | ImageFormat::WebP => 4 * pixels,
        ImageFormat::Tiff => native_bytes,
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Bmp => 0,
    };
    let is_in_place = native_bytes == 3 * pixels || native_bytes == 4 * pixels;
    let flattened = if is_in_place { 0 } else { 4 * pixels };
    let turned = if is_transposing { 3 * pixels } else { 0 };
    native_bytes.saturating_add(beside.max(flattened).max(turned))
}

/// Red, green and blue in a byte each, over white where the picture is transparent.
fn flatten(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let mut pixels = image.into_rgba8().into_raw();
    let pixel_count = pixels.len() / 4;
    for index in 0..pixel_count {
        let alpha = pixels[4 * index + 3];
        for channel in 0..RGB_BYTES {
            pixels[RGB_BYTES * index + channel] = over_white(pixels[4 * index + channel], alpha);
        }
    }
    pixels.truncate(RGB_BYTES * pixel_count);
    pixels
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let sum = u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    ((sum + 127) / 255) as u8
}

fn from_image(format: ImageFormat, error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::unsupported_kind(format, error),
        ImageError::Limits(_) => DecodeError::over_decoder_limit(format, error),
        _ if format == ImageFormat::Tiff && is_over_jpeg_limit(&error) => {
            DecodeError::over_decoder_limit(format, error)
        }
        _ => DecodeError::corrupt(format, error),
    }
}

/// Whether a JPEG within a TIFF is larger than its decoder reads. That has a limit of its own,
/// which cannot be set from here, and tells it in words alone.
fn is_over_jpeg_limit(error: &ImageError) -> bool {
    let said = error.to_string();
    ["width", "height"].iter().any(|side| said.contains(&format!("greater than {side} limit")))
}
