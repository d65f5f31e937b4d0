use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use flota_core::ports::UPLOADED_PREFIX;
use flota_platform::content_encoding::{ContentEncodings, EncodingError};
use metrics::counter;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    extract::read_body,
    problem::{self, Problem, ProblemCode},
    state::Api,
};

/// An image that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadedImage {
    /// Its address, for requests: `flota://sha256/…`.
    url: String,
    /// The SHA-256 of its bytes, without their content encoding.
    sha256: String,
    /// How many bytes it has, without their content encoding.
    size_bytes: u64,
}

/// Uploads an image: its bytes are the body, of whatever content type. A `Content-Encoding` of
/// `gzip`, `deflate` or `br` is undone; the limit holds for what comes out.
#[utoipa::path(
    post,
    path = "/v1/images",
    tag = "images",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "Kept; the same bytes have the same address", body = UploadedImage),
        (status = "4XX", description = "A problem", body = problem::Body, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = problem::Body, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn upload_image(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<UploadedImage>), Problem> {
    let limit = api.settings.server.max_upload_bytes;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let encodings =
        ContentEncodings::parse(values.map(|value| value.to_str().unwrap_or("unreadable")))?;
    let most = announced.and_then(|text| text.parse().ok()).unwrap_or(limit).min(limit);
    // Encoded, it is held as it came and as it comes out.
    let most = if encodings.is_identity() { most } else { most.saturating_add(limit) };
    let _held = api.upload_budget.hold(most).await;
    let bytes = read_body(&headers, body, limit).await?;
    let bytes = encodings.decode(bytes, limit).await?;
    let size_bytes = bytes.len() as u64;
    let sha256 = api.platform.images.put(bytes).await?;
    counter!("flota_images_uploaded_total").increment(1);
    let url = format!("{UPLOADED_PREFIX}{sha256}");
    Ok((StatusCode::CREATED, Json(UploadedImage { url, sha256: sha256.to_string(), size_bytes })))
}

impl From<EncodingError> for Problem {
    fn from(error: EncodingError) -> Self {
        let detail = error.to_string();
        match error {
            EncodingError::Unknown(_) => Self::new(ProblemCode::ContentEncodingUnknown, detail),
            EncodingError::Damaged(_) => Self::new(ProblemCode::ContentEncodingDamaged, detail),
            EncodingError::TooLarge(limit) => {
                Self::new(ProblemCode::BodyTooLarge, detail).with_limit(limit)
            }
        }
    }
}
