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
}
