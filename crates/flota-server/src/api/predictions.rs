use axum::{Json, extract::State};
use flota_core::{ModelName, Prediction, Sha256, ports::UPLOADED_PREFIX};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::Params,
    problem::{self, Problem, ProblemCode},
    state::Api,
};
use crate::views::PredictionView;

/// The query of `GET /v1/predictions`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PredictionParams {
    /// The SHA-256 of the image's bytes, or its address `flota://sha256/…`.
    image: String,
    /// Only what this model says.
    model: Option<String>,
}

/// What is known of an image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KnownImage {
    /// The SHA-256 of its bytes.
    sha256: String,
    /// What the models say, the newest first.
    predictions: Vec<KnownPrediction>,
}

/// What one model version says.
#[derive(Debug, Serialize, ToSchema)]
struct KnownPrediction {
    /// The model.
    model: String,
    /// Its version.
    version: String,
    #[serde(flatten)]
    prediction: PredictionView,
}

/// Lists what is known of an image's content, whoever submitted it under whatever name.
#[utoipa::path(
    get,
    path = "/v1/predictions",
    tag = "images",
    params(PredictionParams),
    responses(
        (status = 200, description = "What is known, perhaps nothing", body = KnownImage),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_predictions(
    State(api): State<Api>,
    Params(params): Params<PredictionParams>,
) -> Result<Json<KnownImage>, Problem> {
    let invalid = |field, message: String| {
        Problem::new(ProblemCode::InvalidQuery, format!("`{field}`: {message}"))
    };
    let digest = params.image.strip_prefix(UPLOADED_PREFIX).unwrap_or(&params.image);
    let sha256: Sha256 = digest.parse().map_err(|_| {
        invalid("image", format!("a SHA-256 or an address `{UPLOADED_PREFIX}…` is wanted"))
    })?;
    let model = params.model.as_deref().map(str::parse::<ModelName>).transpose();
    let model = model.map_err(|error| invalid("model", error.to_string()))?;
    let known = api.platform.predictions.of_image(sha256, model.as_ref()).await?;
    let predictions = known.into_iter().map(KnownPrediction::from).collect();
    Ok(Json(KnownImage { sha256: sha256.to_string(), predictions }))
}

impl From<Prediction> for KnownPrediction {
    fn from(prediction: Prediction) -> Self {
        Self {
            model: prediction.key.model.to_string(),
            version: prediction.key.version.to_string(),
            prediction: prediction.into(),
        }
    }
}
