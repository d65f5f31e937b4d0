//! What the API answers instead of what was asked: RFC 9457, `application/problem+json`.

use serde::{Deserialize, Serialize};

use crate::Word;
#[cfg(feature = "openapi")]
use crate::schemas;

/// The body of a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Names the kind of problem: `urn:flota:problem:<code>`.
    pub r#type: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    #[cfg_attr(feature = "openapi", schema(value_type = schemas::ProblemCode))]
    pub code: Word<ProblemCode>,
    /// What is wrong here.
    pub detail: String,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The models that are known, where one is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub known: Option<Vec<String>>,
    /// The limit that was passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub limit: Option<u64>,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Where it is in the body, such as `images[3].url`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why the API did not do what was asked. The code does not change between releases.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "docs/API.md has the table of codes, and each has its title")]
pub enum ProblemCode {
    MalformedJson,
    InvalidField,
    InvalidQuery,
    InvalidHeader,
    HostNotAllowed,
    CrossOrigin,
    UnsupportedMediaType,
    InvalidValue,
    NotSupported,
    UnknownModel,
    LimitExceeded,
    BodyTooLarge,
    BodyTimeout,
    BodyIncomplete,
    ContentEncodingUnknown,
    ContentEncodingDamaged,
    IdempotencyKeyReused,
    NotFound,
    RequestNotFound,
    RoundNotFound,
    CallbackNotFound,
    DeadLetterNotFound,
    ReplayNotFound,
    MethodNotAllowed,
    RequestNotFinished,
    DeadLetterResolved,
    NotReplayable,
    ReplayRunning,
    ReplayEnded,
    VersionNotCurrent,
    NotReady,
    Overloaded,
    StoreUnavailable,
    StorageFull,
    Internal,
}

impl FieldError {
    /// The field at `field`, such as `images[3].url`, and what is wrong with it.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The index of the image that the field is of, in the request's images.
    pub fn image(&self) -> Option<usize> {
        let (place, rest) = self.field.strip_prefix("images[")?.split_once(']')?;
        let is_of_image = rest.is_empty() || rest.starts_with('.');
        place.parse().ok().filter(|_| is_of_image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_says_which_image_it_is_of() {
        let image = |field: &str| FieldError::new(field, "").image();
        assert_eq!((image("images[17].url"), image("images[0]")), (Some(17), Some(0)));
        for other in
            ["images", "images[]", "images[-1].url", "images[1", "callback.url", "models[0]"]
        {
            assert_eq!(image(other), None, "{other}");
        }
    }

    #[test]
    fn codes_are_written_as_their_text() {
        for code in <ProblemCode as strum::IntoEnumIterator>::iter() {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
        }
    }
}
