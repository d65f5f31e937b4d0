//! JPEG frames that few encoders write: baseline with a scan for each component, colour differences
//! sampled more finely than luminance, factors of 3 and 4.
//!
//! `zune-jpeg` decodes some of these to other images than they hold, and says nothing.
//! `jpeg-decoder` is slower and reads them right, but for one kind, which is refused here.

use jpeg_decoder::{ColorTransform, Decoder, Error};

use super::{
    DecodeError, ImageFormat,
    jpeg_color::Colors,
    jpeg_frame::{COEFFICIENT_BYTES, Frame, corrupt},
    jpeg_segments::Segments,
};

/// Decodes an unusual frame to red, green and blue, or to four components as they are.
///
/// # Errors
/// `Unsupported` for a component of a medium sampling factor in a scan of its own: `jpeg-decoder`
/// counts its blocks wrong.
pub(super) fn decode(segments: Segments) -> Result<Vec<u8>, DecodeError> {
    let frame = &segments.frame;
    if frame.has_medium_component_alone() {
        let what = format!(
            "the JPEG has components sampled {} in scans of their own, which is not read",
            frame.factors()
        );
        return Err(DecodeError::unsupported(what));
    }
    let colors = segments.colors;
    let stream = segments.poisoned();
    let mut decoder = Decoder::new(&stream[..]);
    decoder.set_color_transform(match colors {
        Colors::Grey => ColorTransform::Grayscale,
        Colors::Ycc => ColorTransform::YCbCr,
        Colors::Rgb => ColorTransform::RGB,
        Colors::Cmyk | Colors::Ycck => ColorTransform::CMYK,
    });
    let mut pixels = decoder.decode().map_err(from_crate)?;
    if matches!(colors, Colors::Cmyk | Colors::Ycck) {
        // The crate turns all four upside down.
        pixels.iter_mut().for_each(|value| *value = !*value);
    }
    Ok(pixels)
}

/// Memory that decoding takes, the pixels included: samples of all components in full, and their
/// coefficients, which wait for threads that turn them into samples. Of a progressive file all are
/// kept besides.
pub(super) fn bytes(frame: &Frame) -> u64 {
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    let copies = if frame.is_progressive { 2 } else { 1 };
    pixels * frame.component_count() as u64
        + frame.sample_count() * (1 + copies * COEFFICIENT_BYTES)
}

fn from_crate(error: Error) -> DecodeError {
    match error {
        Error::Unsupported(_) => DecodeError::unsupported_kind(ImageFormat::Jpeg, error),
        _ => corrupt(error),
    }
}
