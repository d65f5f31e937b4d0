use axum::{Json, extract::State};
use flota_api::{CachedImage, CachedPrediction};
use flota_core::{ModelName, OBJECT_PREFIX, ObjectIdentity, Sha256, ports::UPLOADED_PREFIX};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    extract::Params,
    problem::{Problem, ProblemCode},
    state::Api,
};

/// The query of `GET /v1/predictions`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PredictionParams {
    /// The SHA-256 of the image's bytes, its URL `flota://sha256/…`, or the URL of an object's
    /// version, `s3://bucket/key?versionId=…`.
    image: String,
    /// Only predictions of this model.
    model: Option<String>,
}

/// Lists the predictions for the content of an image, submitted by any client under any URL.
#[utoipa::path(
    get,
    path = "/v1/predictions",
    tag = "images",
    params(PredictionParams),
    responses(
        (status = 200, description = "What is known, perhaps nothing", body = CachedImage),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list_predictions(
    State(api): State<Api>,
    Params(params): Params<PredictionParams>,
) -> Result<Json<CachedImage>, Problem> {
    let model = params.model.as_deref().map(str::parse::<ModelName>).transpose();
    let model = model.map_err(|error| invalid("model", error.to_string()))?;
    let Some(sha256) = content(&api, &params.image).await? else {
        return Ok(Json(CachedImage { sha256: None, predictions: Vec::new() }));
    };
    let known = api.platform.predictions.of_image(sha256, model.as_ref()).await?;
    let predictions = known.into_iter().map(CachedPrediction::from).collect();
    Ok(Json(CachedImage { sha256: Some(sha256), predictions }))
}

/// The SHA-256 of `image`; `None` if it is an object whose content is not known.
async fn content(api: &Api, image: &str) -> Result<Option<Sha256>, Problem> {
    if !image.starts_with(OBJECT_PREFIX) {
        let digest = image.strip_prefix(UPLOADED_PREFIX).unwrap_or(image);
        return digest.parse().map(Some).map_err(|_| {
            let wanted = "a SHA-256, or an address `flota://sha256/…` or `s3://…?versionId=…`";
            invalid("image", format!("{wanted} is wanted"))
        });
    }
    let object = image.parse::<ObjectIdentity>().ok();
    let object = object.filter(|object| object.is_trusted(api.settings.objects.trust_etag));
    let object = object.ok_or_else(|| {
        invalid("image", "of an object a version is wanted, `s3://bucket/key?versionId=…`".into())
    })?;
    let known = api.platform.aliases.get(&[object]).await?;
    Ok(known.first().map(|alias| alias.sha256))
}

fn invalid(field: &str, message: String) -> Problem {
    Problem::new(ProblemCode::InvalidQuery, format!("`{field}`: {message}"))
}
