//! The format of a manifest: what a key means where it is absent.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Resizer, Rounding};

/// The format of a manifest. A manifest without the key `format` is of format 1, and keeps the meaning and
/// the digest that it had before there were formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Format {
    /// Resizing to the shortest edge rounds as Flota did at first, and has weights of 16 bits.
    #[default]
    One,
    /// Resizing to the shortest edge rounds as torchvision does, and has Pillow's weights.
    Two,
}

impl Format {
    /// How resizing to the shortest edge rounds where the manifest does not say.
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
