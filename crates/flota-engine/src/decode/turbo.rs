//! JPEG by libjpeg-turbo: as large as it is needed, and no larger.

use flota_core::InputSpec;
use turbojpeg::{Decompressor, Image, PixelFormat, ScalingFactor};

use super::{
    DecodeError, DecodedImage, ImageFormat,
    decoded_image::RGB_BYTES,
    jpeg_color::Colors,
    jpeg_frame::corrupt,
    jpeg_segments::{MAX_SCANS, Segments},
    orientation,
    scaling::{EIGHTHS, JpegScaling},
};

/// Whether this decoder reads images of such colours; others are left to the decoders that all
/// builds have.
pub(super) fn reads(colors: Colors) -> bool {
    matches!(colors, Colors::Grey | Colors::Ycc)
}

/// Decodes what `segments` hold, as large and as smooth as `input` needs it; whole where there is none.
pub(super) fn decode(
    segments: &Segments,
    input: Option<&InputSpec>,
) -> Result<DecodedImage, DecodeError> {
    let Segments { frame, stream, orientation, .. } = segments;
    let original = match orientation::is_transposing(*orientation) {
        true => (frame.height, frame.width),
        false => (frame.width, frame.height),
    };
    let whole = JpegScaling { eighths: EIGHTHS, is_fast: false };
    let scaling = input.map_or(whole, |input| JpegScaling::of(original, input));
    let JpegScaling { eighths, is_fast } = scaling;
    let pixels_of = |side: u32| (side * eighths).div_ceil(EIGHTHS);
    let size = (pixels_of(frame.width), pixels_of(frame.height));
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut pixels = vec![0; width * height * RGB_BYTES];
    let output = Image {
        pixels: pixels.as_mut_slice(),
        width,
        pitch: width * RGB_BYTES,
        height,
        format: PixelFormat::RGB,
    };
    let mut decompressor = Decompressor::new().map_err(corrupt)?;
    decompressor.set_fast_upsample(is_fast).map_err(corrupt)?;
    decompressor.set_scan_limit(MAX_SCANS as u32).map_err(corrupt)?;
    let factor = ScalingFactor::new(eighths as usize, EIGHTHS as usize);
    decompressor.set_scaling_factor(factor).map_err(corrupt)?;
    // What libjpeg-turbo only warns of is an error here too.
    decompressor.decompress(stream, output).map_err(corrupt)?;
    let (pixels, (width, height)) = orientation::turn(pixels, size, *orientation);
    let is_turned_over = orientation::is_turned_over(*orientation);
    let format = ImageFormat::Jpeg;
    let whole = DecodedImage::whole((width, height), pixels, format);
    Ok(DecodedImage { original, eighths, is_turned_over, scaling: Some(scaling), ..whole })
}
