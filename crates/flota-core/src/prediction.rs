//! Predictions: the output of a model for the content of an image.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ModelName, ModelVersion, Output, Sha256};

/// The key of a prediction: content, model and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PredictionKey {
    /// The SHA-256 of the image's bytes.
    pub sha256: Sha256,
    /// The model.
    pub model: ModelName,
    /// The model's version.
    pub version: ModelVersion,
}

/// The output of a model version for the content of an image. Running the model again gives the
/// same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The content, the model and its version.
    #[serde(flatten)]
    pub key: PredictionKey,
    /// The labelled output.
    pub output: Output,
    /// Facts about the decoded image.
    pub image: ImageFacts,
    /// When it was computed.
    pub computed_at: Timestamp,
}

/// Facts about a decoded image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Width in pixels, after EXIF orientation.
    pub width: u32,
    /// Height in pixels, after EXIF orientation.
    pub height: u32,
    /// `jpeg`, `png`, `gif`, `webp`, `bmp` or `tiff`.
    pub format: String,
    /// Size of the encoded image in bytes.
    pub size_bytes: u64,
    /// Why people may see another image than the model did: names of [`ImageFlag`], sorted. They
    /// are text, so that names of later versions can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// Why people may see another image than the model did. The names are stable.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum ImageFlag {
    /// More than one frame (GIF, WebP, APNG). The model saw the first.
    Animated,
    /// Stored as CMYK, which programs convert to RGB in different ways.
    Cmyk,
    /// A colour profile or gamma that was not applied and changes colours slightly: Display P3,
    /// Adobe RGB and other wide gamuts, a gamma of 1.8.
    ColorProfile,
    /// A colour profile or gamma that was not applied and changes colours strongly.
    ColorShifted,
    /// More than one page (TIFF). The model saw the first.
    MultiPage,
    /// Pixels that are not opaque. What people see depends on the background.
    Transparent,
}

impl ImageFlag {
    /// The name in [`ImageFacts::flags`].
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_without_flags_are_written_and_read_as_before() {
        let before = r#"{"width":4,"height":3,"format":"png","size_bytes":99}"#;
        let facts: ImageFacts = serde_json::from_str(before).unwrap();
        assert!(facts.flags.is_empty());
        assert_eq!(serde_json::to_string(&facts).unwrap(), before);
    }

    #[test]
    fn flags_are_words_and_a_later_versions_words_are_kept() {
        let words: Vec<&str> =
            <ImageFlag as strum::IntoEnumIterator>::iter().map(ImageFlag::as_str).collect();
        let expected =
            ["animated", "cmyk", "color_profile", "color_shifted", "multi_page", "transparent"];
        assert_eq!(words, expected);
        let later = r#"{"width":4,"height":3,"format":"png","size_bytes":99,"flags":["hdr"]}"#;
        let facts: ImageFacts = serde_json::from_str(later).unwrap();
        assert_eq!(serde_json::to_string(&facts).unwrap(), later);
    }
}
