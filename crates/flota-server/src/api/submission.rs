use std::collections::BTreeSet;

use flota_core::{
    CallbackEvent, CallbackTarget, ImageRef, Metadata, OBJECT_PREFIX, ObjectAddress, Priority,
    Route, Sha256, deserialize_submitted_metadata,
    limits::{MAX_ADDRESS_BYTES, MAX_IMAGE_ID_BYTES, MAX_METADATA_BYTES, MAX_REQUEST_TASKS},
    ports::UPLOADED_PREFIX,
};
use flota_platform::{net::AddressPolicy, settings::Backend};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{
    json::Object,
    problem::{FieldError, Problem, ProblemCode},
};

/// What `POST /v1/requests` takes. Unknown fields are refused by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// The images; images x models is at most 1000.
    #[schema(value_type = Vec<SubmittedImage>)]
    images: Vec<Object<SubmittedImage>>,
    /// The models that look at each image.
    models: Vec<String>,
    /// Whom to tell when the request is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SubmittedCallback>)]
    callback: Option<Object<SubmittedCallback>>,
    /// Only `normal` so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<String>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// What the client wants back unread, at most 4 KiB of JSON.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_submitted_metadata"
    )]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
}

/// An image to look at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmittedImage {
    /// `flota://sha256/…` of an upload, `https://…`, `http://…`, or on AWS `s3://bucket/key`, perhaps
    /// with `?versionId=…`.
    url: String,
    /// The client's own id for it, at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// Whom to tell.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmittedCallback {
    /// The receiver's address, `https://…` or `http://…`.
    url: String,
    /// The events that it wants; all where absent.
    #[serde(default = "all_events")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    events: Vec<CallbackEvent>,
}

/// A submission that was checked, but for whether its models are known.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) images: Vec<ImageRef>,
    pub(crate) routes: Vec<Route>,
    pub(crate) callback: Option<CallbackTarget>,
    pub(crate) priority: Priority,
    pub(crate) metadata: Option<Metadata>,
}

fn all_events() -> Vec<CallbackEvent> {
    vec![CallbackEvent::RequestFinished]
}

impl Submission {
    /// The names of the models that are to look at the images.
    pub(crate) fn models(&self) -> &[String] {
        &self.models
    }

    /// What makes two submissions the same one: the hash of what they say, not of how it was written; but of
    /// their metadata as it was written, for that is what they get back.
    pub(crate) fn fingerprint(&self) -> Sha256 {
        let read = Self { metadata: None, ..self.clone() };
        let mut said = serde_json::to_value(read).expect("plain data is always JSON");
        said.sort_all_objects();
        let metadata = self.metadata.as_ref().map_or("", Metadata::as_json);
        Sha256::of(format!("{said}{metadata}").as_bytes())
    }

    /// Checks every value. `known` are the registered models with their workers; `policy` says where
    /// a callback may go, `backend` where an image may be.
    pub(crate) fn check(
        self,
        known: &[Route],
        policy: &AddressPolicy,
        backend: Backend,
    ) -> Result<Checked, Problem> {
        let priority = self.check_support()?;
        let task_count = self.images.len().saturating_mul(self.models.len());
        if task_count > MAX_REQUEST_TASKS || self.images.len() > MAX_REQUEST_TASKS {
            let detail = format!(
                "{} images x {} models are {task_count} tasks; {MAX_REQUEST_TASKS} is the limit",
                self.images.len(),
                self.models.len(),
            );
            let problem = Problem::new(ProblemCode::LimitExceeded, detail);
            return Err(problem.with_limit(MAX_REQUEST_TASKS as u64));
        }
        let mut errors = Vec::new();
        self.check_images(&mut errors, backend);
        self.check_callback(&mut errors, policy);
        self.check_metadata(&mut errors);
        let routes = check_models(&self.models, known, &mut errors)?;
        if !errors.is_empty() {
            return Err(Problem::fields(ProblemCode::InvalidValue, errors));
        }
        let images =
            self.images.into_iter().map(|Object(image)| ImageRef { url: image.url, id: image.id });
        let callback =
            self.callback.map(|Object(c)| CallbackTarget { url: c.url, events: c.events });
        let images = images.collect();
        Ok(Checked { images, routes, callback, priority, metadata: self.metadata })
    }

    fn check_support(&self) -> Result<Priority, Problem> {
        let unsupported = |field: &str, message: String| {
            let error = FieldError::new(field, message);
            Err(Problem::fields(ProblemCode::NotSupported, vec![error]))
        };
        if self.deadline.is_some() {
            return unsupported("deadline", "deadlines are not supported yet".to_owned());
        }
        let Some(text) = self.priority.as_deref() else { return Ok(Priority::default()) };
        text.parse().or_else(|_| {
            let other: String = text.chars().take(40).collect();
            unsupported("priority", format!("`{other}`: only `normal` is supported yet"))
        })
    }

    fn check_images(&self, errors: &mut Vec<FieldError>, backend: Backend) {
        if self.images.is_empty() {
            errors.push(FieldError::new("images", "at least one image is needed"));
        }
        for (i, Object(image)) in self.images.iter().enumerate() {
            if let Err(message) = check_image_address(&image.url, backend) {
                errors.push(FieldError::new(format!("images[{i}].url"), message));
            }
            let id_bytes = image.id.as_ref().map_or(1, String::len);
            if id_bytes == 0 || id_bytes > MAX_IMAGE_ID_BYTES {
                let message = format!("1 to {MAX_IMAGE_ID_BYTES} bytes are wanted");
                errors.push(FieldError::new(format!("images[{i}].id"), message));
            }
        }
    }

    fn check_callback(&self, errors: &mut Vec<FieldError>, policy: &AddressPolicy) {
        let Some(Object(callback)) = &self.callback else { return };
        let may_go = |_| policy.check_url(&callback.url).map_err(|error| error.to_string());
        if let Err(message) = check_web_address(&callback.url).and_then(may_go) {
            errors.push(FieldError::new("callback.url", message));
        }
        if callback.events.is_empty() {
            errors.push(FieldError::new("callback.events", "name at least one, or leave it out"));
        }
    }

    fn check_metadata(&self, errors: &mut Vec<FieldError>) {
        let Some(metadata) = &self.metadata else { return };
        let size_bytes = metadata.as_json().len();
        if size_bytes > MAX_METADATA_BYTES {
            let message = format!("{size_bytes} bytes of JSON; {MAX_METADATA_BYTES} is the limit");
            errors.push(FieldError::new("metadata", message));
        }
    }
}

fn check_models(
    models: &[String],
    known: &[Route],
    errors: &mut Vec<FieldError>,
) -> Result<Vec<Route>, Problem> {
    if models.is_empty() {
        errors.push(FieldError::new("models", "at least one model is needed"));
    }
    let (mut checked, mut unknown, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (i, text) in models.iter().enumerate() {
        let field = format!("models[{i}]");
        if !seen.insert(text) {
            errors.push(FieldError::new(field, format!("`{text}` is named twice")));
            continue;
        }
        match known.iter().find(|route| route.model.as_str() == text) {
            Some(route) => checked.push(route.clone()),
            None => {
                let text: String = text.chars().take(80).collect();
                unknown.push(FieldError::new(field, format!("`{text}` is not a known model")));
            }
        }
    }
    if unknown.is_empty() {
        return Ok(checked);
    }
    let known = known.iter().map(|route| route.model.to_string()).collect();
    Err(Problem::fields(ProblemCode::UnknownModel, unknown).with_known(known))
}

fn check_image_address(address: &str, backend: Backend) -> Result<(), String> {
    if let Some(digest) = address.strip_prefix(UPLOADED_PREFIX) {
        return digest.parse::<Sha256>().map(drop).map_err(|error| error.to_string());
    }
    if !address.starts_with(OBJECT_PREFIX) {
        return check_web_address(address);
    }
    if backend != Backend::Aws {
        return Err("this server has no S3: its `backend` is not \"aws\"".to_owned());
    }
    check_spelling(address)?;
    address.parse::<ObjectAddress>().map(drop).map_err(|error| error.to_string())
}

fn check_web_address(address: &str) -> Result<(), String> {
    check_spelling(address)?;
    let url = Url::parse(address).map_err(|error| format!("not an address: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        other => Err(format!("`{other}://` is not supported: use `https://` or `http://`")),
    }
}

fn check_spelling(address: &str) -> Result<(), String> {
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(format!("{} bytes; {MAX_ADDRESS_BYTES} is the limit", address.len()));
    }
    // What JSON escapes would grow in a message, whose size is bounded.
    let is_strange = |c: char| {
        c.is_control() || c.is_whitespace() || matches!(c, '"' | '\\' | '\u{fffe}' | '\u{ffff}')
    };
    if address.contains(is_strange) {
        return Err("an address has no spaces, quotes, backslashes or control characters".into());
    }
    Ok(())
}
