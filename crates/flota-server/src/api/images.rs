use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use flota_api::UploadedImage;
use flota_core::ports::UPLOADED_PREFIX;
use flota_platform::{
    DecodeError, Staged, StagedImage,
    content_encoding::{ContentEncodings, EncodingError},
};
use tokio::time;

use super::{
    body::{Arriving, Incoming, ROOM_WAIT, no_room},
    problem::{Problem, ProblemCode},
    state::Api,
};
use crate::metrics;

/// Uploads an image.
///
/// The body has its bytes, with any content type except `multipart/…`. A `Content-Encoding` of
/// `gzip`, `deflate` or `br` is decoded; the limit applies to the decoded bytes.
#[utoipa::path(
    post,
    path = "/v1/images",
    tag = "images",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "Kept; the same bytes have the same address", body = UploadedImage),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no room for its bytes; try again after `Retry-After`", body = flota_api::Problem, content_type = "application/problem+json"),
        (status = 507, description = "Nothing was stored: the disk is full, or only its reserve for accepted requests is left", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn upload_image(
    State(api): State<Api>,
    incoming: Incoming,
) -> Result<(StatusCode, Json<UploadedImage>), Problem> {
    let encodings = match check_type(incoming.headers()) {
        Ok(encodings) => encodings,
        Err(problem) => return Err(incoming.refuse(problem).await),
    };
    if let Err(low) = api.platform.disk.check().await {
        return Err(incoming.refuse(low.into()).await);
    }
    let limit = api.settings.server.max_upload_bytes;
    let mut arriving = incoming.within(limit).await?;
    let mut image = api.platform.staging.begin();
    while let Some(bytes) = arriving.next().await? {
        image = match image.push(&bytes).await {
            Ok(image) => image,
            Err(error) => return Err(arriving.refuse(error.into()).await),
        };
    }
    if !encodings.is_identity() {
        image = decode(&api, image, &encodings, &mut arriving).await?;
    }
    let size_bytes = image.size_bytes();
    if size_bytes == 0 {
        return Err(Problem::new(ProblemCode::InvalidValue, "the image has no bytes"));
    }
    let sha256 = match image.finish().await? {
        Staged::Memory(bytes) => api.platform.images.put(bytes).await?,
        Staged::File(file) => {
            let sha256 = file.sha256;
            api.platform.images.put_file(file).await?;
            sha256
        }
    };
    metrics::image_uploaded();
    let url = format!("{UPLOADED_PREFIX}{sha256}");
    Ok((StatusCode::CREATED, Json(UploadedImage { url, sha256, size_bytes })))
}

/// The content encodings of an upload. A problem if the body is a form.
fn check_type(headers: &HeaderMap) -> Result<ContentEncodings, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = |text: &str| text.trim_start().to_ascii_lowercase().starts_with("multipart/");
    if content_type.is_some_and(is_form) {
        let detail = "forms are not taken: send the bytes of the image as the body";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    Ok(ContentEncodings::parse(values.map(|value| value.to_str().unwrap_or("unreadable")))?)
}

/// Decodes the encoding of an upload. At most as many uploads are decoded at once as there are
/// cores, because a few bytes may expand to many.
async fn decode(
    api: &Api,
    image: StagedImage,
    encodings: &ContentEncodings,
    arriving: &mut Arriving,
) -> Result<StagedImage, Problem> {
    let turn = time::timeout(ROOM_WAIT, api.decoding.acquire()).await;
    let _turn = turn.map_err(|_| no_room())?.expect("the semaphore is never closed");
    let image = image.decode(encodings, api.settings.server.max_upload_bytes).await?;
    match arriving.make_room(image.size_bytes()).await {
        true => Ok(image),
        false => Err(no_room()),
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Encoding(error) => error.into(),
            DecodeError::Port(error) => error.into(),
        }
    }
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
