//! The format of a manifest, which defines the defaults of its keys.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Resizer, Rounding};

/// The format of a manifest. Without the key `format` it is 1, so that older manifests keep their
/// meaning and their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Format {
    /// Resizing to the shortest edge rounds as in the first versions of Flota, and has 16-bit
    /// weights.
    #[default]
    One,
    /// Resizing to the shortest edge rounds like torchvision and has the weights of Pillow.
    Two,
}

impl Format {
    /// The default rounding of resizing to the shortest edge.
    pub fn rounding(self) -> Rounding {
        match self {
            Self::One => Rounding::Format1,
            Self::Two => Rounding::Torchvision,
        }
    }

    /// The arithmetic of antialiased resizing.
    pub fn resizer(self) -> Resizer {
        match self {
            Self::One => Resizer::SixteenBit,
            Self::Two => Resizer::Pillow,
        }
    }

    pub(super) fn is_first(&self) -> bool {
        *self == Self::One
    }

    fn number(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.number())
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        match u64::deserialize(de)? {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(D::Error::custom(format!(
                "format {other} is not known: this version of Flota reads formats 1 and 2"
            ))),
        }
    }
}
