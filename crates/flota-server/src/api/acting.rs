//! Calls that record who acts.

use axum::extract::{FromRequest, Request};
use flota_api::{DiscardBody, FieldError, ReplayBody, ReplayOne, Resolution};
use flota_core::{ClientName, MAX_BY_CHARS};
use serde::de::DeserializeOwned;

use super::{
    body::Incoming,
    extract::read_optional_json,
    problem::{Problem, ProblemCode},
    state::Api,
};

/// The body of a call, and the name of the caller for the audit log.
pub(crate) struct ActedBy<T> {
    pub(crate) by: String,
    pub(crate) body: T,
}

/// A body that may name the caller.
pub(crate) trait NamesActor: DeserializeOwned + Send {
    /// Takes the name out of the body.
    fn take_by(&mut self) -> Option<String>;
}

impl<T: NamesActor> FromRequest<Api> for ActedBy<T> {
    type Rejection = Problem;

    /// An empty body counts as an empty object. Without a name in the body, the client's name is
    /// recorded.
    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let incoming = Incoming::from_request(request, api).await?;
        let mut body: T = read_optional_json(incoming).await?;
        let by = body.take_by().unwrap_or_else(|| ClientName::default().to_string());
        if by.is_empty() || by.chars().count() > MAX_BY_CHARS {
            let message = format!("1 to {MAX_BY_CHARS} characters are wanted");
            let wrong = vec![FieldError::new("by", message)];
            return Err(Problem::fields(ProblemCode::InvalidValue, wrong));
        }
        Ok(Self { by, body })
    }
}

impl NamesActor for Resolution {
    fn take_by(&mut self) -> Option<String> {
        self.by.take()
    }
}

impl NamesActor for ReplayOne {
    fn take_by(&mut self) -> Option<String> {
        self.by.take()
    }
}

impl NamesActor for DiscardBody {
    fn take_by(&mut self) -> Option<String> {
        self.by.take()
    }
}

impl NamesActor for ReplayBody {
    fn take_by(&mut self) -> Option<String> {
        self.by.take()
    }
}
