//! What decoding makes of an image, and how large that may be.

use std::{collections::BTreeSet, fmt};

use flota_core::{Alpha, ColorManagement, ImageFlag, InputSpec, Limits};

use super::{
    DecodeError, ImageFormat,
    scaling::{EIGHTHS, JpegScaling},
};

/// Bytes of a pixel of a [`DecodedImage`].
pub(crate) const RGB_BYTES: usize = 3;

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
        if self.scaling.is_some_and(|scaling| scaling != JpegScaling::of(self.original, input)) {
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

impl fmt::Debug for DecodedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodedImage({} {}x{})", self.format, self.width, self.height)
    }
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
