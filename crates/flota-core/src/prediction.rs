//! What a model says of an image's content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ModelName, ModelVersion, Output, Sha256};

/// What names a prediction: content, model and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PredictionKey {
    /// The SHA-256 of the image's bytes.
    pub sha256: Sha256,
    /// The model.
    pub model: ModelName,
    /// Its version.
    pub version: ModelVersion,
}

/// What one model version says of one image's content. Pure: a re-run writes the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// What it is of, and by which model.
    #[serde(flatten)]
    pub key: PredictionKey,
    /// The labelled output.
    pub output: Output,
    /// What was looked at.
    pub image: ImageFacts,
    /// When it was computed.
    pub computed_at: Timestamp,
}

/// What the decoder saw of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// `jpeg`, `png`, `gif`, `webp`, `bmp` or `tiff`.
    pub format: String,
    /// Size of the encoded image in bytes.
    pub size_bytes: u64,
    /// In what way people may see another image than the model did: the words of [`ImageFlag`],
    /// sorted. They are text, so that a word of a later version is read as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// A way in which people may see another image than the model did. The words are stable.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum ImageFlag {
    /// More than one frame (GIF, WebP, APNG); the model saw the first.
    Animated,
    /// Stored as cyan, magenta, yellow and black, which programs turn into light differently.
    Cmyk,
    /// A colour profile, or a gamma, that the model did not see applied and that changes colours
    /// somewhat: Display P3, Adobe RGB and other wide gamuts, a gamma of 1.8.
    ColorProfile,
    /// A colour profile, or a gamma, that the model did not see applied and that makes it another
    /// image.
    ColorShifted,
    /// More than one page (TIFF); the model saw the first.
    MultiPage,
    /// Pixels that are not opaque; what shows through them depends on the page.
    Transparent,
}

impl ImageFlag {
    /// The word, as [`ImageFacts::flags`] has it.
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
