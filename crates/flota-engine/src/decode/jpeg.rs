//! JPEG: whatever ends early is refused, only a missing end marker is forgiven.

use flota_core::{InputSpec, Limits};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{
    DecodeError, DecodedImage, ImageFormat,
    jpeg_color::FourColors,
    jpeg_frame::{Frame, corrupt},
    jpeg_segments::{self, MAX_SCANS, Segments},
    orientation,
    picture::{RGB_BYTES, check_memory, check_size},
};

/// Bytes of a coefficient, where all are kept until the last scan.
const COEFFICIENT_BYTES: u64 = 2;

/// Decodes `bytes`, which begin like a JPEG.
#[cfg_attr(not(feature = "turbojpeg"), expect(unused_variables, reason = "it is always whole"))]
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    inputs: &[&InputSpec],
) -> Result<DecodedImage, DecodeError> {
    let segments = jpeg_segments::read(bytes)?;
    let Segments { frame, stream, adobe_transform, orientation } = &segments;
    let (adobe_transform, orientation) = (*adobe_transform, *orientation);
    check_size(ImageFormat::Jpeg, (frame.width, frame.height), limits)?;
    let is_transposing = orientation::is_transposing(orientation);
    check_memory(stream.len() as u64 + memory_bytes(frame, is_transposing), limits)?;

    #[cfg(feature = "turbojpeg")]
    if super::turbo::reads(frame, adobe_transform)
        && let Ok(image) = super::turbo::decode(&segments, inputs)
    {
        return Ok(image);
    }
    // What libjpeg-turbo refuses or warns of is decided by the one decoder that all builds have.
    let is_unnamed_rgb =
        frame.component_count() == 3 && adobe_transform == Some(0) && !frame.is_named_rgb();
    let colors = match frame.component_count() {
        4 => ColorSpace::CMYK,
        // The components come out as they are if they are asked for as what they seem to be.
        _ if is_unnamed_rgb => ColorSpace::YCbCr,
        _ => ColorSpace::RGB,
    };
    let (size, component_count) = ((frame.width, frame.height), frame.component_count());
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(frame.width as usize)
        .set_max_height(frame.height as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(colors);
    let stream = segments.poisoned();
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&stream), options);
    let pixels = decoder.decode().map_err(from_zune)?;
    let pixels = match component_count {
        4 => FourColors::of(adobe_transform).to_rgb(pixels),
        _ => pixels,
    };
    if pixels.len() != size.0 as usize * size.1 as usize * RGB_BYTES {
        return Err(corrupt("the picture has not the size of its header"));
    }
    let (pixels, size) = orientation::turn(pixels, size, orientation);
    Ok(DecodedImage::whole(size, pixels, ImageFormat::Jpeg))
}

fn memory_bytes(frame: &Frame, is_transposing: bool) -> u64 {
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    let rgb_bytes = pixels * RGB_BYTES as u64;
    let coefficients = if frame.keeps_coefficients { frame.sample_count() } else { 0 };
    pixels * frame.component_count().max(RGB_BYTES) as u64
        + coefficients * COEFFICIENT_BYTES
        + if is_transposing { rgb_bytes } else { 0 }
}

fn from_zune(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(_) => DecodeError::unsupported_kind(ImageFormat::Jpeg, error),
        _ => corrupt(error),
    }
}
