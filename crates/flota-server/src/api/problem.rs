use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
pub(crate) use flota_api::ProblemCode;
use flota_api::{FieldError, Problem as Body};
use flota_core::{PortError, with_causes};
use flota_platform::DiskLow;
use tracing::{error, warn};

/// Most fields in one problem.
const MAX_FIELD_ERRORS: usize = 20;

/// An error answer: RFC 9457, `application/problem+json`.
#[derive(Debug)]
pub(crate) struct Problem {
    code: ProblemCode,
    // Boxed to keep results small.
    body: Box<Body>,
}

/// The status and the title of a problem.
fn parts(code: ProblemCode) -> (StatusCode, &'static str) {
    match code {
        ProblemCode::MalformedJson => (StatusCode::BAD_REQUEST, "The body is not JSON"),
        ProblemCode::InvalidField => {
            (StatusCode::BAD_REQUEST, "A field is unknown, missing or of a wrong type")
        }
        ProblemCode::InvalidQuery => (StatusCode::BAD_REQUEST, "The query is not valid"),
        ProblemCode::InvalidHeader => (StatusCode::BAD_REQUEST, "A header is not valid"),
        ProblemCode::HostNotAllowed => {
            (StatusCode::MISDIRECTED_REQUEST, "The server is not known by this name")
        }
        ProblemCode::CrossOrigin => (StatusCode::FORBIDDEN, "Another site's page made the call"),
        ProblemCode::UnsupportedMediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of a type that is not taken")
        }
        ProblemCode::InvalidValue => (StatusCode::UNPROCESSABLE_ENTITY, "A value is not valid"),
        ProblemCode::NotSupported => (StatusCode::UNPROCESSABLE_ENTITY, "Not supported yet"),
        ProblemCode::UnknownModel => (StatusCode::UNPROCESSABLE_ENTITY, "The model is not known"),
        ProblemCode::LimitExceeded => (StatusCode::UNPROCESSABLE_ENTITY, "A limit is exceeded"),
        ProblemCode::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        ProblemCode::BodyTimeout => {
            (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time")
        }
        ProblemCode::BodyIncomplete => (StatusCode::BAD_REQUEST, "The body broke off"),
        ProblemCode::ContentEncodingUnknown => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content encoding is not read")
        }
        ProblemCode::ContentEncodingDamaged => {
            (StatusCode::BAD_REQUEST, "The content encoding ends early or is damaged")
        }
        ProblemCode::IdempotencyKeyReused => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key was used for another body")
        }
        ProblemCode::NotFound => (StatusCode::NOT_FOUND, "There is nothing at this address"),
        ProblemCode::RequestNotFound => (StatusCode::NOT_FOUND, "There is no such request"),
        ProblemCode::RoundNotFound => (StatusCode::NOT_FOUND, "The request has no such round"),
        ProblemCode::CallbackNotFound => (StatusCode::NOT_FOUND, "There is no such callback"),
        ProblemCode::DeadLetterNotFound => (StatusCode::NOT_FOUND, "There is no such dead letter"),
        ProblemCode::ReplayNotFound => (StatusCode::NOT_FOUND, "There is no such replay"),
        ProblemCode::MethodNotAllowed => {
            (StatusCode::METHOD_NOT_ALLOWED, "The address does not take this method")
        }
        ProblemCode::RequestNotFinished => (StatusCode::CONFLICT, "The request is not finished"),
        ProblemCode::DeadLetterResolved => {
            (StatusCode::CONFLICT, "The dead letter is not open any more")
        }
        ProblemCode::NotReplayable => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The dead letter cannot be replayed")
        }
        ProblemCode::ReplayRunning => (StatusCode::CONFLICT, "A replay of the model runs"),
        ProblemCode::ReplayEnded => (StatusCode::CONFLICT, "The replay has ended"),
        ProblemCode::VersionNotCurrent => {
            (StatusCode::CONFLICT, "The version is not the model's current one")
        }
        ProblemCode::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "The server is not ready"),
        ProblemCode::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "The server is overloaded"),
        ProblemCode::StoreUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached at present")
        }
        ProblemCode::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "The storage is full"),
        ProblemCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
    }
}

impl Problem {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let (status, title) = parts(code);
        let name: &'static str = code.into();
        let body = Body {
            r#type: format!("urn:flota:problem:{}", name.to_lowercase().replace('_', "-")),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            known: None,
            limit: None,
        };
        Self { code, body: Box::new(body) }
    }

    /// A problem about invalid fields, at least one.
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
    /// Logs the cause, which the client must not see.
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
        let (status, _) = parts(self.code);
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (status, Json(self.body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        if matches!(self.code, ProblemCode::StoreUnavailable | ProblemCode::Overloaded) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
