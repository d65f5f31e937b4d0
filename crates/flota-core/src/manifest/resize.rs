//! Resizing, under the names of manifests and other libraries.

use serde::{Deserialize, Serialize};

use super::input::MAX_TENSOR_SIDE;

/// How the image is brought to the size of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ResizeFields", into = "ResizeFields")]
pub enum Resize {
    /// The shortest edge becomes `size` pixels and the proportions stay. Pixels outside of the
    /// tensor are cut off; missing ones are black.
    ShortestEdge {
        /// Length of the shortest edge in pixels.
        size: u32,
        /// The part that stays.
        crop: Crop,
        /// How the longer edge and the origin of the crop are rounded. `None` only until the
        /// manifest's format is known.
        rounding: Option<Rounding>,
    },
    /// The whole image is stretched to the tensor.
    Exact,
    /// The whole image is fitted into the tensor with its proportions, centred; the rest is filled.
    Letterbox {
        /// Red, green and blue of the filled area.
        fill: [u8; 3],
    },
}

/// The part of an image that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// The centre. [`Rounding`] says where an odd line goes.
    #[default]
    Center,
}

/// The rounding of resizing to the shortest edge. `d` is the difference between the resized image
/// and the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// As in torchvision and timm: longer edge `int(size * long / short)`, origin
    /// `int(round(d / 2))`, half to even (`transforms.functional.resize` and `center_crop` of
    /// torchvision 0.29).
    Torchvision,
    /// As in Hugging Face's libraries: the same longer edge, origin `d // 2`
    /// (`image_processing_backends.py` of transformers 5.24).
    Transformers,
    /// As in format 1: longer edge rounded half to even, origin `d // 2`.
    #[serde(rename = "format_1")]
    Format1,
}

/// The arithmetic of antialiased resizing. The manifest's format defines it; no key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resizer {
    /// 16-bit weights. Some values of 0 to 255 differ by one from Pillow's.
    #[default]
    SixteenBit,
    /// Equal to Pillow byte for byte (`Resample.c` of Pillow 13.0).
    Pillow,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ResizeMode {
    #[serde(alias = "shorter_side")]
    ShortestEdge,
    Exact,
    Letterbox,
}

/// Accepts other spellings: `{shortest_edge: n}` as in Hugging Face, and `shorter_side`, an earlier
/// name of the mode.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResizeFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<ResizeMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(default, skip_serializing)]
    shortest_edge: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crop: Option<Crop>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounding: Option<Rounding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<[u8; 3]>,
}

impl TryFrom<ResizeFields> for Resize {
    type Error = String;

    fn try_from(fields: ResizeFields) -> Result<Self, String> {
        let ResizeFields { mode, size, shortest_edge, crop, rounding, fill } = fields;
        let (mode, size) = match (mode, size, shortest_edge) {
            (mode, size, None) => (mode, size),
            (None | Some(ResizeMode::ShortestEdge), None, Some(edge)) => {
                (Some(ResizeMode::ShortestEdge), Some(edge))
            }
            _ => return Err("`shortest_edge` says both `mode` and `size`: leave those out".into()),
        };
        if size.is_some_and(|size| size == 0 || u64::from(size) > MAX_TENSOR_SIDE) {
            return Err(format!("`size` is not from 1 to {MAX_TENSOR_SIDE}"));
        }
        let is_of_edge = crop.is_some() || rounding.is_some();
        match (mode, size, fill) {
            (Some(ResizeMode::ShortestEdge), Some(size), None) => {
                Ok(Self::ShortestEdge { size, crop: crop.unwrap_or_default(), rounding })
            }
            (Some(ResizeMode::ShortestEdge), None, _) => {
                Err("`mode: shortest_edge` needs the `size` of that edge".to_owned())
            }
            (Some(ResizeMode::Exact), None, None) if !is_of_edge => Ok(Self::Exact),
            (Some(ResizeMode::Letterbox), None, fill) if !is_of_edge => {
                Ok(Self::Letterbox { fill: fill.unwrap_or_default() })
            }
            (None, ..) => Err("`mode` is missing: `shortest_edge`, `exact` or `letterbox`".into()),
            _ => Err("`size`, `crop` and `rounding` belong to `mode: shortest_edge`, `fill` to \
                 `mode: letterbox`"
                .to_owned()),
        }
    }
}

impl From<Resize> for ResizeFields {
    fn from(resize: Resize) -> Self {
        let plain = |mode| Self { mode: Some(mode), ..Self::default() };
        match resize {
            Resize::ShortestEdge { size, crop, rounding } => Self {
                size: Some(size),
                crop: Some(crop),
                rounding,
                ..plain(ResizeMode::ShortestEdge)
            },
            Resize::Exact => plain(ResizeMode::Exact),
            Resize::Letterbox { fill } => Self { fill: Some(fill), ..plain(ResizeMode::Letterbox) },
        }
    }
}
