use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flota_core::{PortError, with_causes};
use flota_platform::DiskLow;
use serde::Serialize;
use tracing::{error, warn};
use utoipa::ToSchema;

/// Most fields that one problem names.
const MAX_FIELD_ERRORS: usize = 20;

/// What the API answers instead of what was asked: RFC 9457, `application/problem+json`.
#[derive(Debug)]
pub(crate) struct Problem {
    code: ProblemCode,
    // Boxed: results stay small.
    body: Box<Body>,
}

/// Why the API did not do what was asked. The code does not change between releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ProblemCode {
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

/// The body of a problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body {
    /// Names the kind of problem: `urn:flota:problem:<code>`.
    r#type: String,
    /// The kind of problem in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: &'static str,
    /// What is wrong here.
    detail: String,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The models that are known, where one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Vec<String>>,
    /// The limit that was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

/// A field that is wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where it is in the body, such as `images[3].url`.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl ProblemCode {
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "The body is not JSON"),
            Self::InvalidField => {
                (StatusCode::BAD_REQUEST, "A field is unknown, missing or of a wrong type")
            }
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "The query is not valid"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "A header is not valid"),
            Self::HostNotAllowed => {
                (StatusCode::MISDIRECTED_REQUEST, "The server is not known by this name")
            }
            Self::CrossOrigin => (StatusCode::FORBIDDEN, "Another site's page made the call"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of a type that is not taken")
            }
            Self::InvalidValue => (StatusCode::UNPROCESSABLE_ENTITY, "A value is not valid"),
            Self::NotSupported => (StatusCode::UNPROCESSABLE_ENTITY, "Not supported yet"),
            Self::UnknownModel => (StatusCode::UNPROCESSABLE_ENTITY, "The model is not known"),
            Self::LimitExceeded => (StatusCode::UNPROCESSABLE_ENTITY, "A limit is exceeded"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::BodyIncomplete => (StatusCode::BAD_REQUEST, "The body broke off"),
            Self::ContentEncodingUnknown => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content encoding is not read")
            }
            Self::ContentEncodingDamaged => {
                (StatusCode::BAD_REQUEST, "The content encoding ends early or is damaged")
            }
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key was used for another body")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "There is nothing at this address"),
            Self::RequestNotFound => (StatusCode::NOT_FOUND, "There is no such request"),
            Self::RoundNotFound => (StatusCode::NOT_FOUND, "The request has no such round"),
            Self::CallbackNotFound => (StatusCode::NOT_FOUND, "There is no such callback"),
            Self::DeadLetterNotFound => (StatusCode::NOT_FOUND, "There is no such dead letter"),
            Self::ReplayNotFound => (StatusCode::NOT_FOUND, "There is no such replay"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "The address does not take this method")
            }
            Self::RequestNotFinished => (StatusCode::CONFLICT, "The request is not finished"),
            Self::DeadLetterResolved => {
                (StatusCode::CONFLICT, "The dead letter is not open any more")
            }
            Self::NotReplayable => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The dead letter cannot be replayed")
            }
            Self::ReplayRunning => (StatusCode::CONFLICT, "A replay of the model runs"),
            Self::ReplayEnded => (StatusCode::CONFLICT, "The replay has ended"),
            Self::VersionNotCurrent => {
                (StatusCode::CONFLICT, "The version is not the model's current one")
            }
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "The server is not ready"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "The server is overloaded"),
            Self::StoreUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached at present")
            }
            Self::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "The storage is full"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
        }
    }
}

impl Problem {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let (status, title) = code.parts();
        let name: &'static str = code.into();
        let body = Body {
            r#type: format!("urn:flota:problem:{}", name.to_lowercase().replace('_', "-")),
            title,
            status: status.as_u16(),
            code: name,
            detail: detail.into(),
            errors: Vec::new(),
            known: None,
            limit: None,
        };
        Self { code, body: Box::new(body) }
    }

    /// Names the fields that are wrong. There is at least one.
    pub(crate) fn fields(code: ProblemCode, mut errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("`{}`: {}", only.field, only.message),
            [first, rest @ ..] => {
                format!("`{}`: {}; and {} more", first.field, first.message, rest.len())
            }
            [] => String::new(),
        };
        errors.truncate(MAX_FIELD_ERRORS);
        let mut problem = Self::new(code, detail);
        problem.body.errors = errors;
        problem
    }

    pub(crate) fn with_limit(mut self, limit: u64) -> Self {
        self.body.limit = Some(limit);
        self
    }

    pub(crate) fn with_known(mut self, known: Vec<String>) -> Self {
        self.body.known = Some(known);
        self
    }
}

impl From<PortError> for Problem {
    /// Logs the cause, which the client does not get to see.
    fn from(error: PortError) -> Self {
        let cause = with_causes(&error);
        match error {
            PortError::Transient { .. } => {
                warn!(error = cause, "a call failed, the client may try again");
                Self::new(ProblemCode::StoreUnavailable, "try again in a moment")
            }
            PortError::Full { .. } => {
                error!(error = cause, "a call failed: nothing can be stored until there is room");
                let detail = "nothing was stored: the disk of the server's data is full; try again \
                              when its operator has made room";
                Self::new(ProblemCode::StorageFull, detail)
            }
            PortError::TooLarge { what } => {
                let detail = format!("{what}; send fewer images, or shorter URLs");
                Self::new(ProblemCode::BodyTooLarge, detail)
            }
            PortError::Permanent { .. } => {
                error!(error = cause, "a call failed");
                Self::new(ProblemCode::Internal, "the cause is in the server's log")
            }
        }
    }
}

impl From<DiskLow> for Problem {
    fn from(low: DiskLow) -> Self {
        Self::new(ProblemCode::StorageFull, format!("nothing was stored: {low}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, _) = self.code.parts();
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (status, Json(self.body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        if matches!(self.code, ProblemCode::StoreUnavailable | ProblemCode::Overloaded) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
