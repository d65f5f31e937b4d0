//! Uploaded images, and what is known of an image's content.

use flota_core::{ModelName, ModelVersion, Prediction, Sha256};
use serde::{Deserialize, Serialize};

use crate::PredictionView;

/// An image that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadedImage {
    /// Its URL, for requests: `flota://sha256/…`.
    pub url: String,
    /// The SHA-256 of its bytes, without their content encoding.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Sha256,
    /// How many bytes it has, without their content encoding.
    pub size_bytes: u64,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CachedImage {
    /// The SHA-256 of its bytes; absent of an object that no model has seen yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$", nullable = false)
    )]
    pub sha256: Option<Sha256>,
    /// What the models say, the newest first.
    pub predictions: Vec<CachedPrediction>,
}

/// What one model version says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CachedPrediction {
    /// The model.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: ModelName,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: ModelVersion,
    /// What it says.
    #[serde(flatten)]
    pub prediction: PredictionView,
}

impl From<Prediction> for CachedPrediction {
    fn from(prediction: Prediction) -> Self {
        Self {
            model: prediction.key.model.clone(),
            version: prediction.key.version.clone(),
            prediction: prediction.into(),
        }
    }
}
