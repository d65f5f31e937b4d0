use std::time::Duration;

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, header, request::Parts},
};
use flota_core::limits::{MAX_API_BODY_BYTES, MAX_CLIENT_WAIT};
use serde::de::DeserializeOwned;

use super::{
    body::Incoming,
    json::parse_json,
    problem::{Problem, ProblemCode},
};

/// The query of a call. If it cannot be parsed, the problem names the error.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::new(ProblemCode::InvalidQuery, rejection.body_text())),
        }
    }
}

/// The id in a path. One that is not UTF-8 is answered with 404.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) => Err(Problem::new(ProblemCode::NotFound, rejection.body_text())),
        }
    }
}

/// Reads a JSON object of at most [`MAX_API_BODY_BYTES`]. The problem names an invalid field by its
/// path.
pub(crate) async fn read_json<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    if let Err(problem) = check_json(body.headers()) {
        return Err(body.refuse(problem).await);
    }
    let (bytes, _room) = body.read(MAX_API_BODY_BYTES as u64).await?;
    parse_json(&bytes)
}

/// Like [`read_json`]; an empty body counts as an empty object.
pub(crate) async fn read_optional_json<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let checked = check_json(body.headers());
    let (bytes, _room) = body.read(MAX_API_BODY_BYTES as u64).await?;
    if bytes.is_empty() {
        return parse_json(b"{}");
    }
    checked?;
    parse_json(&bytes)
}

/// Requires JSON, because a browser sends other types for any web page without a preflight request.
fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail| Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text(header::CONTENT_TYPE).split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return refused("send the header `Content-Type: application/json`");
    }
    let mut charsets = parts.filter_map(|parameter| parameter.split_once('='));
    let is_utf8 = |value: &str| value.trim_matches('"').eq_ignore_ascii_case("utf-8");
    if charsets.any(|(name, value)| name.eq_ignore_ascii_case("charset") && !is_utf8(value)) {
        return refused("JSON is taken in UTF-8 alone");
    }
    match text(header::CONTENT_ENCODING) {
        "" | "identity" => Ok(()),
        _ => refused("JSON is taken without a `Content-Encoding`"),
    }
}

/// The value of `Prefer: wait=N` (RFC 7240), within bounds. An invalid value is ignored, as the RFC
/// requires.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let seconds = preferences.flat_map(|line| line.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| value.trim().trim_matches('"').parse().ok())?
    })?;
    Some(bounded_wait(seconds))
}

/// Longest wait that is accepted, in seconds. A wait above a minute counts as a minute; a longer
/// one than this is taken for a mistake.
pub(crate) const MAX_WAIT_SECONDS: u64 = 3_600;

/// A wait of `seconds`, at most [`MAX_CLIENT_WAIT`].
pub(crate) fn bounded_wait(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(MAX_CLIENT_WAIT)
}
