//! What a client submits.

use flota_core::{
    CallbackEvent, Metadata, ModelName, deserialize_submitted_metadata, limits::MAX_REQUEST_TASKS,
};
use serde::{Deserialize, Serialize};

use crate::Object;
#[cfg(feature = "openapi")]
use crate::schemas;

/// What `POST /v1/requests` takes. Unknown fields are refused by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The images; images x models is at most 1000.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<SubmittedImage>))]
    pub images: Vec<Object<SubmittedImage>>,
    /// The models that look at each image.
    pub models: Vec<String>,
    /// Whom to tell when the request is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<SubmittedCallback>))]
    pub callback: Option<Object<SubmittedCallback>>,
    /// Only `normal` so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// What the client wants back unread, at most 4 KiB of JSON.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_submitted_metadata"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schemas::Metadata>))]
    pub metadata: Option<Metadata>,
}

/// An image to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmittedImage {
    /// `flota://sha256/…` of an upload, `https://…`, `http://…`, or on AWS `s3://bucket/key`, perhaps
    /// with `?versionId=…`.
    pub url: String,
    /// The client's own id for it, at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Whom to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmittedCallback {
    /// The receiver's address, `https://…` or `http://…`.
    pub url: String,
    /// The events that it wants; all where absent.
    #[serde(default = "all_events")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<schemas::CallbackEvent>>, nullable = false))]
    pub events: Vec<CallbackEvent>,
}

fn all_events() -> Vec<CallbackEvent> {
    vec![CallbackEvent::RequestFinished]
}

impl Submission {
    /// Every model looks at every image, and nobody is called back.
    pub fn new(images: Vec<SubmittedImage>, models: &[ModelName]) -> Self {
        Self {
            images: images.into_iter().map(Object).collect(),
            models: models.iter().map(ToString::to_string).collect(),
            callback: None,
            priority: None,
            deadline: None,
            metadata: None,
        }
    }

    /// Has `url` called when the request is finished.
    #[must_use]
    pub fn with_callback(self, url: impl Into<String>) -> Self {
        let callback = SubmittedCallback { url: url.into(), events: all_events() };
        Self { callback: Some(Object(callback)), ..self }
    }

    /// How many images a request for so many models may have; at least 1.
    ///
    /// # Panics
    /// If there are no models.
    pub fn max_images(model_count: usize) -> usize {
        assert!(model_count > 0, "a request has models");
        // More models than a request may have tasks is for the server to refuse.
        (MAX_REQUEST_TASKS / model_count).max(1)
    }
}

impl SubmittedImage {
    /// The image at a URL.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_written_as_it_is_read_and_leaves_out_what_is_absent() {
        let models = ["cat".parse().unwrap()];
        let submission = Submission::new(vec![SubmittedImage::at("https://a/1")], &models);
        let text = serde_json::to_string(&submission).unwrap();
        assert_eq!(text, r#"{"images":[{"url":"https://a/1"}],"models":["cat"]}"#);
        let called_back = submission.with_callback("https://b/hook");
        let text = serde_json::to_string(&called_back).unwrap();
        assert_eq!(serde_json::from_str::<Submission>(&text).unwrap(), called_back);
        assert!(serde_json::from_str::<Submission>(r#"{"images":[["a"]],"models":[]}"#).is_err());
    }

    #[test]
    fn no_request_has_more_images_than_its_tasks_allow() {
        assert_eq!([1, 3, 1_001].map(Submission::max_images), [1_000, 333, 1]);
    }
}
