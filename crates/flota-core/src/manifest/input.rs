//! How pixels become the tensor that a network was trained on.

use serde::{Deserialize, Serialize};

use super::{Filter, Format, Resize, Resizer, Rounding, bounds::within};

/// Longest side of a tensor in pixels. No useful input is larger.
pub(super) const MAX_TENSOR_SIDE: u64 = 8_192;
/// The default factor for pixel values of 0 to 255.
const DEFAULT_SCALE: f32 = 1.0 / 255.0;

/// Smallest `std`. Dividing by less gives numbers far outside of any training data, or infinity.
const MIN_STD: f32 = 1e-6;

/// How an image becomes a tensor: it is resized and cropped, then each value becomes
/// `(value * scale - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "InputFields", into = "InputFields")]
pub struct InputSpec {
    /// The name of the input in the graph; may be `None` if the graph has only one.
    pub name: Option<String>,
    /// The order of the tensor's axes.
    pub layout: Layout,
    /// Width of the tensor in pixels.
    pub width: u32,
    /// Height of the tensor in pixels.
    pub height: u32,
    /// How the image is brought to the tensor's size.
    pub resize: Resize,
    /// The interpolation of resizing.
    pub filter: Filter,
    /// The arithmetic of an antialiased filter, which the manifest's format defines.
    pub resizer: Resizer,
    /// The channels of the tensor and their order.
    pub color: ColorOrder,
    /// The type of the tensor's numbers.
    pub dtype: Dtype,
    /// The factor for values of 0 to 255.
    pub scale: f32,
    /// What is subtracted then, per channel in the tensor's order; nothing if `None`.
    pub mean: Option<Vec<f32>>,
    /// The divisor then, per channel in the tensor's order; none if `None`.
    pub std: Option<Vec<f32>>,
    /// The shortcuts that a JPEG decoder may take.
    pub jpeg: JpegSpec,
    /// How transparent pixels are rendered.
    pub alpha: Alpha,
    /// Whether the image's colour profile is applied, which converts its colours to sRGB.
    pub color_profile: ColorManagement,
}

/// How transparent pixels are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alpha {
    /// Over white, as on a white page.
    #[default]
    White,
    /// Opacity is dropped and colours stay as stored, like Pillow's `convert("RGB")`, which most
    /// training pipelines use.
    Drop,
}

/// What happens with the colour profile of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorManagement {
    /// It is ignored: colours are taken for sRGB, as in Pillow and torchvision.
    #[default]
    Ignore,
    /// It is applied: colours are converted to sRGB, as in browsers.
    Apply,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The JSON form of an [`InputSpec`]. A new key must be omitted if it has its default; if format 1
/// may have it, it also goes into the identity (`identity.rs`).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    layout: Layout,
    #[serde(deserialize_with = "within::<1, MAX_TENSOR_SIDE, _, _>")]
    width: u32,
    #[serde(deserialize_with = "within::<1, MAX_TENSOR_SIDE, _, _>")]
    height: u32,
    resize: Resize,
    #[serde(default, skip_serializing)]
    filter: Option<String>,
    #[serde(default)]
    interpolation: Option<String>,
    #[serde(default)]
    antialias: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    align_corners: bool,
    #[serde(default)]
    color: ColorOrder,
    #[serde(default)]
    dtype: Dtype,
    #[serde(default = "default_scale")]
    scale: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "JpegSpec::is_usual")]
    jpeg: JpegSpec,
    #[serde(default, skip_serializing_if = "is_default")]
    alpha: Alpha,
    #[serde(default, skip_serializing_if = "is_default")]
    color_profile: ColorManagement,
}

/// The shortcuts that a JPEG decoder may take. Only libjpeg-turbo takes them, not the decoder that
/// needs no C compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JpegSpec {
    /// The image may be decoded at a half, a quarter or an eighth of its size, as long as it stays
    /// this many times as large as the resized image. 0: always at full size.
    #[serde(deserialize_with = "within::<0, MAX_MIN_SCALE, _, _>")]
    pub min_scale: u32,
    /// Whether chroma that is stored at half size is repeated instead of interpolated.
    pub fast_upsampling: bool,
}

/// A larger factor makes no visible difference.
const MAX_MIN_SCALE: u64 = 16;

impl Default for JpegSpec {
    fn default() -> Self {
        Self { min_scale: 2, fast_upsampling: false }
    }
}

impl JpegSpec {
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The order of a tensor's axes: N images, C channels, H height, W width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One plane per channel.
    #[default]
    Nchw,
    /// The channels of a pixel are adjacent.
    Nhwc,
}

/// The channels of a tensor and their order.
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
    /// The number of channels.
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
    /// Bytes, neither scaled nor shifted.
    U8,
}

impl InputSpec {
    /// Sets the defaults that depend on the manifest's format.
    pub(super) fn complete(&mut self, format: Format) {
        self.resizer = format.resizer();
        if let Resize::ShortestEdge { rounding, .. } = &mut self.resize {
            rounding.get_or_insert(format.rounding());
        }
    }

    /// Whether the resized image may be smaller than the tensor, so that it is padded with black.
    pub fn may_pad(&self) -> bool {
        let longest = self.width.max(self.height);
        matches!(self.resize, Resize::ShortestEdge { size, .. } if size < longest)
    }

    /// Checks what depends on the manifest's format.
    pub(super) fn check_format(&self, format: Format) -> Result<(), String> {
        if let Resize::ShortestEdge { size, rounding, .. } = self.resize
            && self.may_pad()
            && (format.is_first() || rounding != Some(Rounding::Torchvision))
        {
            return Err(format!(
                "`resize` to a shortest edge of {size} does not fill a tensor of {}x{}; only `format: 2` with \
                 `rounding: torchvision` pads it, with black",
                self.width, self.height
            ));
        }
        if !format.is_first() {
            return Ok(());
        }
        if self.filter.first_name().is_none() {
            let (interpolation, antialias, _) = self.filter.words();
            return Err(format!(
                "`interpolation: {interpolation}` with `antialias: {antialias}` needs `format: 2` at \
                 the top of the manifest"
            ));
        }
        match self.resize {
            Resize::ShortestEdge { rounding: Some(Rounding::Format1) | None, .. }
            | Resize::Exact
            | Resize::Letterbox { .. } => Ok(()),
            Resize::ShortestEdge { .. } => {
                Err("`rounding` needs `format: 2` at the top of the manifest".to_owned())
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        self.check_channels("mean", self.mean.as_deref())?;
        self.check_channels("std", self.std.as_deref())?;
        if self.std.iter().flatten().any(|value| *value < MIN_STD) {
            return Err(format!("`std` must be greater than 0: {MIN_STD} at least"));
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

impl TryFrom<InputFields> for InputSpec {
    type Error = String;

    fn try_from(fields: InputFields) -> Result<Self, String> {
        let has_words =
            fields.interpolation.is_some() || fields.antialias.is_some() || fields.align_corners;
        let filter = match &fields.filter {
            Some(_) if has_words => {
                return Err(
                    "`filter` says `interpolation` and `antialias` too: leave it out".into()
                );
            }
            Some(name) => Filter::of_first_name(name)?,
            None => {
                let interpolation = fields.interpolation.as_deref().unwrap_or("bilinear");
                Filter::of_words(interpolation, fields.antialias, fields.align_corners)?
            }
        };
        let InputFields { name, layout, width, height, resize, color, dtype, .. } = fields;
        let InputFields { scale, mean, std, jpeg, alpha, color_profile, .. } = fields;
        let spec = Self {
            name,
            layout,
            width,
            height,
            resize,
            filter,
            resizer: Resizer::default(),
            color,
            dtype,
            scale,
            mean,
            std,
            jpeg,
            alpha,
            color_profile,
        };
        spec.check()?;
        Ok(spec)
    }
}

impl From<InputSpec> for InputFields {
    fn from(spec: InputSpec) -> Self {
        let (interpolation, antialias, align_corners) = spec.filter.words();
        Self {
            name: spec.name,
            layout: spec.layout,
            width: spec.width,
            height: spec.height,
            resize: spec.resize,
            filter: None,
            interpolation: Some(interpolation.to_owned()),
            antialias: Some(antialias),
            align_corners,
            color: spec.color,
            dtype: spec.dtype,
            scale: spec.scale,
            mean: spec.mean,
            std: spec.std,
            jpeg: spec.jpeg,
            alpha: spec.alpha,
            color_profile: spec.color_profile,
        }
    }
}
