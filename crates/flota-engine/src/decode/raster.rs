//! From stored pixels to an upright, opaque image, for every format except JPEG; and PNG, GIF and
//! WebP by the `image` crate.

use std::{collections::BTreeSet, io::Cursor};

use flota_core::{Alpha, ColorManagement, ImageFlag, Limits};
use image::{
    DynamicImage, ImageDecoder, ImageError,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::Orientation,
};

use super::{
    DecodeError, DecodedImage, ImageFormat,
    color::Profile,
    decoded_image::{ColorSettings, RGB_BYTES, check_memory, check_size},
    orientation,
};

/// Bytes of a pixel with its opacity.
pub(super) const RGBA_BYTES: usize = 4;

/// An image as its file stores it.
#[derive(Debug)]
pub(super) struct Stored {
    pub format: ImageFormat,
    pub size: (u32, u32),
    /// Red, green and blue in a byte each, and opacity where there is any.
    pub pixels: Pixels,
    pub orientation: Orientation,
    pub profile: Option<Profile>,
    pub flags: BTreeSet<ImageFlag>,
}

/// Pixels row by row from the top left.
#[derive(Debug)]
pub(super) enum Pixels {
    /// Opaque, three bytes each.
    Rgb(Vec<u8>),
    /// Four bytes each; colours are not multiplied by opacity.
    Rgba(Vec<u8>),
}

/// What a container says of its image beside the pixels.
#[derive(Debug, Default)]
pub(super) struct Description {
    pub orientation: Option<Orientation>,
    pub profile: Option<Profile>,
    pub flags: BTreeSet<ImageFlag>,
    /// Bytes of the file that were copied for the decoder.
    pub copied_bytes: u64,
}

/// Decodes `bytes`, a PNG, GIF or WebP of which its container says `description`.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
    description: Description,
) -> Result<Stored, DecodeError> {
    let failed = |error| from_image(format, error);
    let reader = Cursor::new(bytes);
    match format {
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(reader, crate_limits(limits, &description));
            decode_by(decoder.map_err(failed)?, format, limits, description)
        }
        ImageFormat::Gif => {
            let decoder = GifDecoder::new(reader).map_err(failed)?;
            decode_by(decoder, format, limits, description)
        }
        _ => {
            let decoder = WebPDecoder::new(reader).map_err(failed)?;
            decode_by(decoder, format, limits, description)
        }
    }
}

fn decode_by(
    mut decoder: impl ImageDecoder,
    format: ImageFormat,
    limits: &Limits,
    description: Description,
) -> Result<Stored, DecodeError> {
    let failed = |error| from_image(format, error);
    let size = decoder.dimensions();
    check_size(format, size, limits)?;
    let crate_limits = crate_limits(limits, &description);
    let Description { orientation, profile, flags, copied_bytes } = description;
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let is_transposing = orientation::is_transposing(orientation);
    let memory_bytes = memory_bytes(format, size, decoder.total_bytes(), is_transposing);
    check_memory(memory_bytes.saturating_add(copied_bytes), limits)?;
    decoder.set_limits(crate_limits).map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    let pixels = match image.color().has_alpha() {
        true => Pixels::Rgba(image.into_rgba8().into_raw()),
        false => Pixels::Rgb(image.into_rgb8().into_raw()),
    };
    Ok(Stored { format, size, pixels, orientation, profile, flags })
}

/// The crate's limit of memory. The size in pixels is checked here, where it can be told.
fn crate_limits(limits: &Limits, description: &Description) -> image::Limits {
    let mut crate_limits = image::Limits::no_limits();
    let rest = limits.max_memory_bytes.saturating_sub(description.copied_bytes);
    crate_limits.max_alloc = Some(rest);
    crate_limits
}

/// Memory at its peak: the image as the format has it, what the decoder keeps beside it, and
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
        _ => 0,
    };
    let is_in_place = native_bytes == 3 * pixels || native_bytes == 4 * pixels;
    let flattened = if is_in_place { 0 } else { 4 * pixels };
    let turned = if is_transposing { 3 * pixels } else { 0 };
    native_bytes.saturating_add(beside.max(flattened).max(turned))
}

impl Stored {
    /// The image as `settings` ask for it: its profile applied or not, opaque, upright.
    pub(super) fn finish(self, settings: ColorSettings) -> DecodedImage {
        let Self { format, size, mut pixels, orientation, profile, mut flags } = self;
        let has_profile = profile.is_some();
        if let Some(profile) = profile {
            flags.extend(manage(&profile, settings.management, &mut pixels));
        }
        let (pixels, is_transparent) = flatten(pixels, settings.alpha);
        if is_transparent {
            flags.insert(ImageFlag::Transparent);
        }
        let (pixels, size) = orientation::turn(pixels, size, orientation);
        let mut image = DecodedImage::whole(size, pixels, format);
        image.flags = flags;
        image.settings = settings;
        image.has_profile = has_profile;
        image
    }
}

/// Applies `profile` where that is asked for, and returns what there is to tell if it was not.
pub(super) fn manage(
    profile: &Profile,
    management: ColorManagement,
    pixels: &mut Pixels,
) -> Option<ImageFlag> {
    let applied = match (management, pixels) {
        (ColorManagement::Ignore, _) => None,
        (ColorManagement::Apply, Pixels::Rgb(pixels)) => profile.apply::<RGB_BYTES>(pixels),
        (ColorManagement::Apply, Pixels::Rgba(pixels)) => profile.apply::<RGBA_BYTES>(pixels),
    };
    if applied.is_some() { None } else { profile.flag() }
}

/// Red, green and blue in a byte each, and whether there was a pixel that is not opaque.
pub(super) fn flatten(pixels: Pixels, alpha: Alpha) -> (Vec<u8>, bool) {
    let mut pixels = match pixels {
        Pixels::Rgb(pixels) => return (pixels, false),
        Pixels::Rgba(pixels) => pixels,
    };
    let pixel_count = pixels.len() / RGBA_BYTES;
    let mut is_transparent = false;
    for index in 0..pixel_count {
        let opacity = pixels[RGBA_BYTES * index + RGB_BYTES];
        is_transparent |= opacity != u8::MAX;
        for channel in 0..RGB_BYTES {
            let value = pixels[RGBA_BYTES * index + channel];
            pixels[RGB_BYTES * index + channel] = match alpha {
                Alpha::White => over_white(value, opacity),
                Alpha::Drop => value,
            };
        }
    }
    pixels.truncate(RGB_BYTES * pixel_count);
    (pixels, is_transparent)
}

fn over_white(value: u8, opacity: u8) -> u8 {
    let sum = u32::from(value) * u32::from(opacity) + 255 * (255 - u32::from(opacity));
    ((sum + 127) / 255) as u8
}

fn from_image(format: ImageFormat, error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::unsupported_kind(format, error),
        ImageError::Limits(_) => DecodeError::over_decoder_limit(format, error),
        _ => DecodeError::corrupt(format, error),
    }
}
