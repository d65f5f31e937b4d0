//! The one way in: which decoder, within which limits, and what comes out.

use std::{
    collections::BTreeSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use flota_core::{Alpha, ColorManagement, ImageFlag, InputSpec, Limits};

use super::{DecodeError, bmp, gif, jpeg, png, tiff, unread, webp};

/// Bytes of a pixel of a [`DecodedImage`].
pub(crate) const RGB_BYTES: usize = 3;

/// Parts of a side that a JPEG can be decoded to.
pub(crate) const EIGHTHS: u32 = 8;

/// The formats that are read, for a sentence.
const READ: &str = "JPEG, PNG, GIF, WebP, BMP and TIFF";

/// An image as it is looked at: upright, opaque, red, green and blue in a byte each.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodedImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height` pixels of three bytes, row by row from the top left.
    pub pixels: Vec<u8>,
    /// What it was encoded as.
    pub format: ImageFormat,
    /// Width and height that it was encoded with, upright.
    pub original: (u32, u32),
    /// How many of eight pixels of a side were decoded; one at an end may be there in part.
    pub eighths: u32,
    /// Whether that one is the first of a row and of a column, for the image was turned over.
    pub is_turned_over: (bool, bool),
    /// In what way people may see another image.
    pub flags: BTreeSet<ImageFlag>,
    /// What was made of transparent pixels and of the profile.
    pub settings: ColorSettings,
    /// Whether it came with a colour profile that can be read.
    pub has_profile: bool,
    /// How libjpeg-turbo was asked to decode it; `None` where another decoder did, whose result no input
    /// changes.
    pub scaling: Option<JpegScaling>,
}

/// How large and how smooth libjpeg-turbo makes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegScaling {
    /// How many of eight pixels of a side are decoded.
    pub eighths: u32,
    /// Whether colour differences are repeated rather than interpolated.
    pub is_fast: bool,
}

/// What an input asks of transparent pixels and of colour profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColorSettings {
    /// What becomes of transparent pixels.
    pub alpha: Alpha,
    /// What becomes of a colour profile.
    pub management: ColorManagement,
}

impl From<&InputSpec> for ColorSettings {
    fn from(input: &InputSpec) -> Self {
        Self { alpha: input.alpha, management: input.color_profile }
    }
}

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// Baseline or progressive, of one, three or four components.
    Jpeg,
    /// Of any depth; of an animated one the first image.
    Png,
    /// The first frame.
    Gif,
    /// Lossy or lossless; of an animated one the first frame.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// The first page.
    Tiff,
}

impl ImageFormat {
    /// The format's name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }

    /// The format's name in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }

    fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        // BigTIFF, which the crate does not know.
        if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") {
            return Ok(Self::Tiff);
        }
        match image::guess_format(bytes) {
            Ok(image::ImageFormat::Jpeg) => Ok(Self::Jpeg),
            Ok(image::ImageFormat::Png) => Ok(Self::Png),
            Ok(image::ImageFormat::Gif) => Ok(Self::Gif),
            Ok(image::ImageFormat::WebP) => Ok(Self::WebP),
            Ok(image::ImageFormat::Bmp) => Ok(Self::Bmp),
            Ok(image::ImageFormat::Tiff) => Ok(Self::Tiff),
            other => {
                let what = match (unread::name(bytes), other) {
                    (Some(name), _) => format!("this is {name}"),
                    (None, Ok(other)) => format!("this is an image of {}", other.to_mime_type()),
                    (None, Err(_)) => "this is not an image of a known format".to_owned(),
                };
                Err(DecodeError::unsupported(format!("{what}; only {READ} images are read")))
            }
        }
    }
}

impl DecodedImage {
    /// An image that was decoded whole.
    pub fn whole((width, height): (u32, u32), pixels: Vec<u8>, format: ImageFormat) -> Self {
        Self {
            width,
            height,
            pixels,
            format,
            original: (width, height),
            eighths: EIGHTHS,
            is_turned_over: (false, false),
            flags: BTreeSet::new(),
            settings: ColorSettings::default(),
            has_profile: false,
            scaling: None,
        }
    }

    /// Whether it is, to the pixel, what `input` alone would get: made with its settings, or the same with
    /// any. So no prediction depends on which models share an image.
    pub fn suits(&self, input: &InputSpec) -> bool {
        #[cfg(feature = "turbojpeg")]
        if self
            .scaling
            .is_some_and(|scaling| scaling != super::turbo::scaling(self.original, input))
        {
            return false;
        }
        let asked = ColorSettings::from(input);
        let is_opaque = !self.flags.contains(&ImageFlag::Transparent);
        (is_opaque || asked.alpha == self.settings.alpha)
            && (!self.has_profile || asked.management == self.settings.management)
    }

    /// A black image, to try a network with.
    pub(crate) fn black(width: u32, height: u32) -> Self {
        let pixels = vec![0; width as usize * height as usize * RGB_BYTES];
        Self::whole((width, height), pixels, ImageFormat::Bmp)
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DecodedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodedImage({} {}x{})", self.format, self.width, self.height)
    }
}

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
    let format = ImageFormat::of(bytes)?;
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

/// Checks the size that the header of a `format` declares.
pub(super) fn check_size(
    format: ImageFormat,
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        let cause = format!("an image of {width} x {height} pixels");
        return Err(DecodeError::corrupt(format, cause));
    }
    let limit = if width.max(height) > limits.max_dimension {
        format!("{} a side", limits.max_dimension)
    } else if u64::from(width) * u64::from(height) > limits.max_pixels {
        limits.max_pixels.to_string()
    } else {
        return Ok(());
    };
    let what = format!("the image has {width} x {height} pixels, and the limit is {limit}");
    Err(DecodeError::too_large(what))
}

/// Checks the memory that decoding will take.
pub(super) fn check_memory(memory_bytes: u64, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.max_memory_bytes;
    if memory_bytes <= limit {
        return Ok(());
    }
    let what = format!(
        "decoding the image takes {memory_bytes} bytes of memory, and the limit is {limit}"
    );
    Err(DecodeError::too_large(what))
}
