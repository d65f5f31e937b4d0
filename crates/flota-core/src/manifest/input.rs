//! From pixels to the tensor that a network was trained on.

use serde::{Deserialize, Serialize};

use super::bounds::within;

/// Longest side of a tensor in pixels; a hundred million numbers are no sensible input.
const MAX_TENSOR_SIDE: u64 = 8_192;
/// What a pixel's 0 to 255 is multiplied by where the manifest says nothing.
const DEFAULT_SCALE: f32 = 1.0 / 255.0;

/// How a picture becomes a tensor: resized, cropped, then `(value * scale - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The input's name in the graph; may be absent where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The order of the tensor's axes.
    #[serde(default)]
    pub layout: Layout,
    /// Width of the tensor in pixels.
    #[serde(deserialize_with = "within::<1, MAX_TENSOR_SIDE, _, _>")]
    pub width: u32,
    /// Height of the tensor in pixels.
    #[serde(deserialize_with = "within::<1, MAX_TENSOR_SIDE, _, _>")]
    pub height: u32,
    /// How the picture is brought to that size.
    pub resize: Resize,
    /// How pixels are interpolated.
    #[serde(default)]
    pub filter: Filter,
    /// Which channels the tensor has, in which order.
    #[serde(default)]
    pub color: ColorOrder,
    /// The type of the tensor's numbers.
    #[serde(default)]
    pub dtype: Dtype,
    /// What a value of 0 to 255 is multiplied by.
    #[serde(default = "default_scale")]
    pub scale: f32,
    /// What is then subtracted, per channel in the tensor's order; nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f32>>,
    /// What is then divided by, per channel in the tensor's order; nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f32>>,
    /// What decoding a JPEG may spare, by a decoder that can.
    #[serde(default, skip_serializing_if = "JpegSpec::is_usual")]
    pub jpeg: JpegSpec,
    /// What becomes of transparent pixels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alpha: Alpha,
    /// Whether colours are converted to sRGB by the profile that an image brings along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color_profile: ColorManagement,
}

/// What becomes of transparent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alpha {
    /// The picture lies over white, as on a white page.
    #[default]
    White,
    /// Opacity is dropped and colours stay as stored: Pillow's `convert("RGB")`, which most training
    /// pipelines use.
    Drop,
}

/// What becomes of the colour profile that an image brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorManagement {
    /// Colours are taken for sRGB, as Pillow and torchvision do.
    #[default]
    Ignore,
    /// Colours are converted to sRGB, as browsers do.
    Apply,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What decoding a JPEG may spare: libjpeg-turbo can, the decoder that needs no C compiler cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JpegSpec {
    /// A picture may be decoded to a half, a quarter or an eighth of its sides while it stays so many
    /// times as large as it is resized to. 0: it is always decoded whole.
    #[serde(deserialize_with = "within::<0, MAX_MIN_SCALE, _, _>")]
    pub min_scale: u32,
    /// Whether colours that were stored at half the size are repeated instead of interpolated.
    pub fast_upsampling: bool,
}

/// More than that nobody sees.
const MAX_MIN_SCALE: u64 = 16;

impl Default for JpegSpec {
    fn default() -> Self {
        Self { min_scale: 2, fast_upsampling: false }
    }
}

impl JpegSpec {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The order of a tensor's axes: images, channels, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A plane per channel.
    #[default]
    Nchw,
    /// The channels of a pixel side by side.
    Nhwc,
}

/// How a picture is brought to the size of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ResizeFields", into = "ResizeFields")]
pub enum Resize {
    /// The shorter side becomes `size` pixels, the proportions stay; then what sticks out of the
    /// tensor is cut off.
    ShorterSide {
        /// Length of the shorter side in pixels.
        size: u32,
        /// Which part is kept.
        crop: Crop,
    },
    /// The whole picture is squeezed into the tensor.
    Exact,
    /// The whole picture with its proportions, centred; the rest is filled.
    Letterbox {
        /// Red, green and blue of the rest.
        fill: [u8; 3],
    },
}

/// Which part of a picture is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// The middle; an odd rest is cut off at the right and the bottom.
    #[default]
    Center,
}

/// How pixels are interpolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Pillow's `BILINEAR`: a triangle as wide as the reduction, rounded to bytes.
    #[default]
    BilinearAntialias,
    /// Pillow's `BICUBIC`: a cubic (a = -0.5) as wide as the reduction, rounded to bytes.
    BicubicAntialias,
    /// Four neighbours, corners on corners, never rounded: TensorFlow's `align_corners`.
    BilinearAlignCorners,
}

/// Which channels a tensor has, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of luminance (ITU-R 601).
    Grey,
}

impl ColorOrder {
    /// How many channels the tensor has.
    pub fn channel_count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// The type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Bytes as they are, neither scaled nor shifted.
    U8,
}

impl InputSpec {
    pub(super) fn check(&self) -> Result<(), String> {
        if let Resize::ShorterSide { size, .. } = self.resize
            && size < self.width.max(self.height)
        {
            return Err(format!(
                "a shorter side of {size} does not fill a tensor of {}x{}",
                self.width, self.height
            ));
        }
        self.check_channels("mean", self.mean.as_deref())?;
        self.check_channels("std", self.std.as_deref())?;
        if self.std.iter().flatten().any(|value| *value <= 0.0) {
            return Err("`std` must be greater than 0".to_owned());
        }
        if !self.scale.is_finite() || self.scale <= 0.0 {
            return Err("`scale` must be a number greater than 0".to_owned());
        }
        let is_shifted = self.mean.is_some() || self.std.is_some() || self.scale != DEFAULT_SCALE;
        if self.dtype == Dtype::U8 && is_shifted {
            return Err(
                "`dtype: u8` takes pixels as they are: leave out `scale`, `mean` and `std`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn check_channels(&self, key: &str, values: Option<&[f32]>) -> Result<(), String> {
        let Some(values) = values else { return Ok(()) };
        let wanted = self.color.channel_count();
        if values.len() != wanted {
            return Err(format!("`{key}` has {} values for {wanted} channel(s)", values.len()));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(format!("`{key}` must hold finite numbers"));
        }
        Ok(())
    }
}

fn default_scale() -> f32 {
    DEFAULT_SCALE
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ResizeMode {
    ShorterSide,
    Exact,
    Letterbox,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResizeFields {
    mode: ResizeMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crop: Option<Crop>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<[u8; 3]>,
}

impl TryFrom<ResizeFields> for Resize {
    type Error = String;

    fn try_from(fields: ResizeFields) -> Result<Self, String> {
        let ResizeFields { mode, size, crop, fill } = fields;
        if size.is_some_and(|size| size == 0 || u64::from(size) > MAX_TENSOR_SIDE) {
            return Err(format!("`size` is not from 1 to {MAX_TENSOR_SIDE}"));
        }
        match (mode, size, crop, fill) {
            (ResizeMode::ShorterSide, Some(size), crop, None) => {
                Ok(Self::ShorterSide { size, crop: crop.unwrap_or_default() })
            }
            (ResizeMode::ShorterSide, None, ..) => {
                Err("`mode: shorter_side` needs the `size` of that side".to_owned())
            }
            (ResizeMode::Exact, None, None, None) => Ok(Self::Exact),
            (ResizeMode::Letterbox, None, None, fill) => {
                Ok(Self::Letterbox { fill: fill.unwrap_or_default() })
            }
            _ => {
                Err("`size` and `crop` belong to `mode: shorter_side`, `fill` to `mode: letterbox`"
                    .to_owned())
            }
        }
    }
}

impl From<Resize> for ResizeFields {
    fn from(resize: Resize) -> Self {
        let plain = |mode| Self { mode, size: None, crop: None, fill: None };
        match resize {
            Resize::ShorterSide { size, crop } => {
                Self { size: Some(size), crop: Some(crop), ..plain(ResizeMode::ShorterSide) }
            }
            Resize::Exact => plain(ResizeMode::Exact),
            Resize::Letterbox { fill } => Self { fill: Some(fill), ..plain(ResizeMode::Letterbox) },
        }
    }
}
