use std::collections::BTreeSet;

use flota_api::{FieldError, Object, Submission};
use flota_core::{
    CallbackTarget, ImageRef, Metadata, OBJECT_PREFIX, ObjectAddress, Priority, Route, Sha256,
    limits::{MAX_ADDRESS_BYTES, MAX_IMAGE_ID_BYTES, MAX_METADATA_BYTES, MAX_REQUEST_TASKS},
    ports::UPLOADED_PREFIX,
};
use flota_platform::{net::AddressPolicy, settings::Backend};
use url::Url;

use super::problem::{Problem, ProblemCode};

/// A checked submission.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) images: Vec<ImageRef>,
    pub(crate) routes: Vec<Route>,
    pub(crate) callback: Option<CallbackTarget>,
    pub(crate) priority: Priority,
    pub(crate) metadata: Option<Metadata>,
}

/// Identifies equal submissions. It hashes the parsed fields, so that formatting does not matter;
/// metadata is hashed as written, because it is returned as written.
pub(crate) fn fingerprint(submission: &Submission) -> Sha256 {
    let read = Submission { metadata: None, ..submission.clone() };
    let mut said = serde_json::to_value(read).expect("plain data is always JSON");
    said.sort_all_objects();
    let metadata = submission.metadata.as_ref().map_or("", Metadata::as_json);
    Sha256::of(format!("{said}{metadata}").as_bytes())
}

/// Checks every field. `known` are the registered models and their workers, `policy` has the
/// allowed receivers of callbacks, and `backend` decides which image URLs are allowed.
pub(crate) fn check(
    submission: Submission,
    known: &[Route],
    policy: &AddressPolicy,
    backend: Backend,
) -> Result<Checked, Problem> {
    let priority = check_support(&submission)?;
    let (image_count, model_count) = (submission.images.len(), submission.models.len());
    let task_count = image_count.saturating_mul(model_count);
    if task_count > MAX_REQUEST_TASKS || image_count > MAX_REQUEST_TASKS {
        let detail = format!(
            "{image_count} images x {model_count} models are {task_count} tasks; \
             {MAX_REQUEST_TASKS} is the limit"
        );
        let problem = Problem::new(ProblemCode::LimitExceeded, detail);
        return Err(problem.with_limit(MAX_REQUEST_TASKS as u64));
    }
    let mut errors = Vec::new();
    check_images(&submission, &mut errors, backend);
    check_callback(&submission, &mut errors, policy);
    check_metadata(&submission, &mut errors);
    let routes = check_models(&submission.models, known, &mut errors)?;
    if !errors.is_empty() {
        return Err(Problem::fields(ProblemCode::InvalidValue, errors));
    }
    let Submission { images, callback, metadata, .. } = submission;
    let images = images.into_iter().map(|Object(image)| ImageRef { url: image.url, id: image.id });
    let callback = callback.map(|Object(c)| CallbackTarget { url: c.url, events: c.events });
    Ok(Checked { images: images.collect(), routes, callback, priority, metadata })
}

fn check_support(submission: &Submission) -> Result<Priority, Problem> {
    let unsupported = |field: &str, message: String| {
        let error = FieldError::new(field, message);
        Err(Problem::fields(ProblemCode::NotSupported, vec![error]))
    };
    if submission.deadline.is_some() {
        return unsupported("deadline", "deadlines are not supported yet".to_owned());
    }
    let Some(text) = submission.priority.as_deref() else { return Ok(Priority::default()) };
    text.parse().or_else(|_| {
        let other: String = text.chars().take(40).collect();
        unsupported("priority", format!("`{other}`: only `normal` is supported yet"))
    })
}

fn check_images(submission: &Submission, errors: &mut Vec<FieldError>, backend: Backend) {
    if submission.images.is_empty() {
        errors.push(FieldError::new("images", "at least one image is needed"));
    }
    for (i, image) in submission.images.iter().enumerate() {
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

fn check_callback(submission: &Submission, errors: &mut Vec<FieldError>, policy: &AddressPolicy) {
    let Some(callback) = &submission.callback else { return };
    let may_go = |_| policy.check_url(&callback.url).map_err(|error| error.to_string());
    if let Err(message) = check_web_address(&callback.url).and_then(may_go) {
        errors.push(FieldError::new("callback.url", message));
    }
    if callback.events.is_empty() {
        errors.push(FieldError::new("callback.events", "name at least one, or leave it out"));
    }
}

fn check_metadata(submission: &Submission, errors: &mut Vec<FieldError>) {
    let Some(metadata) = &submission.metadata else { return };
    let size_bytes = metadata.as_json().len();
    if size_bytes > MAX_METADATA_BYTES {
        let message = format!("{size_bytes} bytes of JSON; {MAX_METADATA_BYTES} is the limit");
        errors.push(FieldError::new("metadata", message));
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
    // JSON would escape these characters, so that a message could exceed its size.
    let is_strange = |c: char| {
        c.is_control() || c.is_whitespace() || matches!(c, '"' | '\\' | '\u{fffe}' | '\u{ffff}')
    };
    if address.contains(is_strange) {
        return Err("an address has no spaces, quotes, backslashes or control characters".into());
    }
    Ok(())
}
