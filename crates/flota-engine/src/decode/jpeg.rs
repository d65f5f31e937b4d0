//! JPEG: whatever ends early is refused, only a missing end marker is forgiven.

use flota_core::{InputSpec, Limits};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{
    DecodeError, DecodedImage, ImageFormat,
    decoded_image::{ColorSettings, RGB_BYTES, check_memory, check_size},
    jpeg_color::Colors,
    jpeg_frame::{COEFFICIENT_BYTES, Frame, corrupt},
    jpeg_profile,
    jpeg_segments::{self, MAX_SCANS, Segments},
    jpeg_unusual, orientation,
};

/// Decodes `bytes`, which begin like a JPEG, as `settings` ask for.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    input: Option<&InputSpec>,
    settings: ColorSettings,
) -> Result<DecodedImage, DecodeError> {
    let mut segments = jpeg_segments::read(bytes)?;
    let (colors, icc) = (segments.colors, segments.icc.take());
    let image = decode_segments(segments, limits, input)?;
    Ok(jpeg_profile::manage(image, colors, icc.as_deref(), settings))
}

/// Decodes `bytes`, a JPEG of `component_count` components inside of another format, which says the rest.
pub(super) fn decode_components(
    bytes: &[u8],
    limits: &Limits,
    component_count: usize,
) -> Result<DecodedImage, DecodeError> {
    let segments = jpeg_segments::read(bytes)?;
    let found = segments.frame.component_count();
    if found != component_count {
        let cause = format!("{found} components in place of {component_count}");
        return Err(DecodeError::unsupported_kind(ImageFormat::Jpeg, cause));
    }
    decode_segments(segments, limits, None)
}

/// The upright image, its colours as they are stored.
#[cfg_attr(not(feature = "turbojpeg"), expect(unused_variables, reason = "it is always whole"))]
fn decode_segments(
    mut segments: Segments,
    limits: &Limits,
    input: Option<&InputSpec>,
) -> Result<DecodedImage, DecodeError> {
    let Segments { frame, stream, colors, orientation, .. } = &segments;
    let (size, colors, orientation) = ((frame.width, frame.height), *colors, *orientation);
    check_size(ImageFormat::Jpeg, size, limits)?;
    let is_usual = frame.is_usual();
    let decoder_bytes = if is_usual { usual_bytes(frame) } else { jpeg_unusual::bytes(frame) };
    let turned_bytes = match orientation::is_transposing(orientation) {
        true => rgb_bytes(frame),
        false => 0,
    };
    check_memory(stream.capacity() as u64 + decoder_bytes + turned_bytes, limits)?;

    #[cfg(feature = "turbojpeg")]
    if super::turbo::reads(colors)
        && let Ok(image) = super::turbo::decode(&segments, input)
    {
        return Ok(image);
    }
    // What libjpeg-turbo refuses or warns of is decided by the decoders that all builds have.
    segments.check_scans()?;
    let pixels = match is_usual {
        true => usual(segments)?,
        false => jpeg_unusual::decode(segments)?,
    };
    let pixels = match colors {
        Colors::Cmyk | Colors::Ycck => colors.four_to_rgb(pixels),
        Colors::Grey | Colors::Ycc | Colors::Rgb => pixels,
    };
    if pixels.len() != size.0 as usize * size.1 as usize * RGB_BYTES {
        return Err(corrupt("the image does not have the size in its header"));
    }
    let (pixels, size) = orientation::turn(pixels, size, orientation);
    Ok(DecodedImage::whole(size, pixels, ImageFormat::Jpeg))
}

/// Decodes a usual frame to red, green and blue, or to four components as they are.
fn usual(segments: Segments) -> Result<Vec<u8>, DecodeError> {
    let frame = &segments.frame;
    let colors = match segments.colors {
        Colors::Cmyk | Colors::Ycck => ColorSpace::CMYK,
        // The components come out as they are if they are asked for as what they seem to be.
        Colors::Rgb => ColorSpace::YCbCr,
        Colors::Grey | Colors::Ycc => ColorSpace::RGB,
    };
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(frame.width as usize)
        .set_max_height(frame.height as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(colors);
    let stream = segments.poisoned();
    JpegDecoder::new_with_options(ZCursor::new(&stream), options).decode().map_err(from_zune)
}

/// Memory that [`usual`] and libjpeg-turbo take, the pixels included.
fn usual_bytes(frame: &Frame) -> u64 {
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    let coefficients = if frame.keeps_coefficients { frame.sample_count() } else { 0 };
    pixels * frame.component_count().max(RGB_BYTES) as u64 + coefficients * COEFFICIENT_BYTES
}

fn rgb_bytes(frame: &Frame) -> u64 {
    u64::from(frame.width) * u64::from(frame.height) * RGB_BYTES as u64
}

fn from_zune(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(_) => DecodeError::unsupported_kind(ImageFormat::Jpeg, error),
        _ => corrupt(error),
    }
}
