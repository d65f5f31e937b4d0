//! WebP: what its container says beside the image, and whether the decoder reads the image as libwebp does.

use std::borrow::Cow;

use flota_core::{ImageFlag, Limits};

use super::{
    DecodeError, ImageFormat,
    color::Profile,
    decoded_image::{check_memory, check_size},
    error::Cause,
    exif,
    raster::{self, Description, RGBA_BYTES, Stored},
    vp8l,
};

/// Bits of the flags in a `VP8X` chunk.
const HAS_PROFILE: u8 = 0x20;
const HAS_OPACITY: u8 = 0x10;
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
const HAS_ANIMATION: u8 = 0x02;
/// Bytes before the first chunk: `RIFF`, a length, `WEBP`.
const HEADER_BYTES: usize = 12;
/// Where the flags are in a file, as `VP8X` is its first chunk or none.
const FLAGS_AT: usize = HEADER_BYTES + 8;
/// Bytes of the header of a frame of several.
const FRAME_BYTES: usize = 16;
/// Bytes of the header of a lossless image.
const LOSSLESS_BYTES: usize = 5;
/// How a lossless image begins.
const LOSSLESS: u8 = 0x2f;

/// Decodes `bytes`, which begin like a WebP.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let mut description = describe(bytes);
    let bytes = check(bytes, limits)?;
    if let Cow::Owned(copy) = &bytes {
        description.copied_bytes = copy.capacity() as u64;
    }
    raster::decode(&bytes, ImageFormat::WebP, limits, description)
}

/// A chunk that the flags do not announce is none, for libwebp, and so for browsers and Pillow.
fn describe(bytes: &[u8]) -> Description {
    let mut description = Description::default();
    let mut announced = 0;
    let mut frame_count = 0;
    let (mut icc, mut exif) = (None, None);
    for Chunk { kind, data, is_whole } in chunks(bytes.get(HEADER_BYTES..).unwrap_or_default()) {
        match kind {
            _ if !is_whole => {}
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

/// Checks the image of a file, or its first frame, and returns the file with flags that say what is there. The decoder
/// refuses what is announced and missing, and looks for the opacity of a lossless image in the flags, where libwebp
/// looks into its header.
fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    let mut canvas = None;
    let mut image = Image::default();
    let mut frame = None;
    for chunk in chunks(bytes.get(HEADER_BYTES..).unwrap_or_default()) {
        match chunk.kind {
            b"VP8X" => canvas = canvas.or(chunk.data.first_chunk::<10>()),
            b"ANMF" => frame = frame.or(Some(chunk.image()?)),
            _ => image.note(&chunk)?,
        }
    }
    let canvas = canvas.filter(|_| bytes[HEADER_BYTES..].starts_with(b"VP8X"));
    if let Some(frame) = frame {
        let (header, chunks) = frame.split_at_checked(FRAME_BYTES).ok_or_else(frame_ends_early)?;
        let mut image = Image::default();
        for chunk in self::chunks(chunks) {
            image.note(&chunk)?;
        }
        image.check(size(&header[6..12]), limits)?;
    }
    image.check(canvas.map_or((0, 0), |canvas| size(&canvas[4..])), limits)?;
    let Some([flags, ..]) = canvas else { return Ok(bytes.into()) };
    let mut found = flags & !(HAS_EXIF | HAS_XMP);
    if found & HAS_ANIMATION == 0 {
        let is_announced = flags & HAS_OPACITY != 0;
        let opacity = if image.has_opacity(is_announced)? { HAS_OPACITY } else { 0 };
        found = found & !HAS_OPACITY | opacity;
    }
    if found == *flags {
        return Ok(bytes.into());
    }
    let mut bytes = bytes.to_vec();
    bytes[FLAGS_AT] = found;
    Ok(bytes.into())
}

/// Width and height, each in three bytes and less one.
fn size(bytes: &[u8]) -> (u32, u32) {
    let side = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]) + 1;
    (side(0), side(3))
}

/// The chunks of an image.
#[derive(Default)]
struct Image<'a> {
    opacity: Option<&'a [u8]>,
    has_late_opacity: bool,
    lossless: Option<&'a [u8]>,
    lossy: Option<&'a [u8]>,
}

impl<'a> Image<'a> {
    /// Notes a chunk. The first of several images counts, and opacity before it.
    fn note(&mut self, chunk: &Chunk<'a>) -> Result<(), DecodeError> {
        let is_first = self.lossless.is_none() && self.lossy.is_none();
        match chunk.kind {
            b"VP8L" => self.lossless = self.lossless.or(Some(chunk.image()?)),
            b"VP8 " => self.lossy = self.lossy.or(Some(chunk.image()?)),
            b"ALPH" if !is_first => self.has_late_opacity = true,
            b"ALPH" if self.opacity.replace(chunk.image()?).is_some() => {
                return Err(corrupt("two chunks of opacity"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether libwebp shows it with opacity, where the flags announce some or not.
    fn has_opacity(&self, is_announced: bool) -> Result<bool, DecodeError> {
        if is_announced && self.has_late_opacity {
            return Err(corrupt("opacity behind its image"));
        }
        match (self.lossless, self.opacity) {
            (Some(_), Some(_)) => Err(corrupt("opacity beside a lossless image")),
            (Some(lossless), None) => Ok(lossless.get(4).is_some_and(|byte| byte & 0x10 != 0)),
            (None, opacity) => Ok(is_announced && opacity.is_some()),
        }
    }

    /// Checks what of it is lossless; of opacity alone its chunk does not say the `size`.
    fn check(&self, size: (u32, u32), limits: &Limits) -> Result<(), DecodeError> {
        if let Some(lossless) = self.lossless {
            let header = lossless.split_first_chunk::<LOSSLESS_BYTES>();
            let Some(([LOSSLESS, sides @ ..], data)) = header else {
                return Err(corrupt("a lossless image without its header"));
            };
            let sides = u32::from_le_bytes(*sides);
            let side = |bits: u32| (bits & 0x3fff) + 1;
            check_lossless(data, (side(sides), side(sides >> 14)), limits)?;
        }
        match self.opacity {
            Some([packed, data @ ..]) if packed & 3 == 1 => check_lossless(data, size, limits),
            _ => Ok(()),
        }
    }
}

fn check_lossless(data: &[u8], size: (u32, u32), limits: &Limits) -> Result<(), DecodeError> {
    check_size(ImageFormat::WebP, size, limits)?;
    check_memory(u64::from(size.0) * u64::from(size.1) * RGBA_BYTES as u64, limits)?;
    vp8l::check(data, size, limits)
}

/// A part of a file.
struct Chunk<'a> {
    kind: &'a [u8; 4],
    data: &'a [u8],
    /// Whether the file does not end within it.
    is_whole: bool,
}

impl<'a> Chunk<'a> {
    /// The data of a chunk that pixels depend on.
    fn image(&self) -> Result<&'a [u8], DecodeError> {
        if self.is_whole { Ok(self.data) } else { Err(frame_ends_early()) }
    }
}

/// The chunks one behind the other, each padded to an even length.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let data = after.get(..length);
        rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
        Some(Chunk { kind, data: data.unwrap_or(after), is_whole: data.is_some() })
    })
}

fn frame_ends_early() -> DecodeError {
    corrupt("the file ends within its image")
}

/// A WebP that is cut off or damaged, and how that was seen.
pub(super) fn corrupt(cause: impl Into<Cause>) -> DecodeError {
    DecodeError::corrupt(ImageFormat::WebP, cause)
}

/// A WebP that the decoder here would read in another way than libwebp does.
pub(super) fn unsupported(what: &str) -> DecodeError {
    DecodeError::unsupported(format!("the WebP has {what}, which is not read"))
}
