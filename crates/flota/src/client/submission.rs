use std::path::Path;

use flota_core::{
    ModelName,
    limits::{MAX_IMAGE_ID_BYTES, MAX_REQUEST_TASKS},
};
use serde::Serialize;

/// The body of `POST /v1/requests`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Submission {
    /// The images.
    pub images: Vec<SubmittedImage>,
    /// The models.
    pub models: Vec<ModelName>,
    /// Whom to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// An image of a [`Submission`].
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SubmittedImage {
    /// Where its bytes are.
    pub url: String,
    /// How the client calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Whom to tell when it is finished.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Callback {
    url: String,
}

impl Submission {
    /// How many images a request for `models` may have.
    ///
    /// # Panics
    /// If there are no models.
    pub fn max_images(models: &[ModelName]) -> usize {
        assert!(!models.is_empty(), "a request has models");
        // More models than a request may have tasks is for the server to refuse.
        (MAX_REQUEST_TASKS / models.len()).max(1)
    }

    /// A request.
    pub fn new(images: Vec<SubmittedImage>, models: &[ModelName], callback: Option<&str>) -> Self {
        let callback = callback.map(|url| Callback { url: url.to_owned() });
        Self { images, models: models.to_vec(), callback }
    }

    /// Cuts images into as few requests as the limit on tasks allows.
    ///
    /// # Panics
    /// If there are no models.
    pub fn cut(
        images: &[SubmittedImage],
        models: &[ModelName],
        callback: Option<&str>,
    ) -> Vec<Self> {
        let request = |images: &[SubmittedImage]| Self::new(images.to_vec(), models, callback);
        images.chunks(Self::max_images(models)).map(request).collect()
    }
}

impl SubmittedImage {
    /// The uploaded file at `path`, called by its path where that is short and plain.
    pub fn uploaded(url: String, path: &Path) -> Self {
        let name = path.to_string_lossy();
        // Escapes in JSON would make a request of a thousand images larger than its body may be.
        let is_plain = name.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
        let id = (is_plain && name.len() <= MAX_IMAGE_ID_BYTES).then(|| name.into_owned());
        Self { url, id }
    }

    /// The image at an address.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_has_too_many_tasks_and_no_image_is_lost() {
        let images: Vec<_> =
            (0..1001).map(|n| SubmittedImage::at(&format!("https://a/{n}"))).collect();
        let models = ["a".parse().unwrap(), "b".parse().unwrap(), "c".parse().unwrap()];
        let requests = Submission::cut(&images, &models, None);
        let sizes: Vec<_> = requests.iter().map(|request| request.images.len()).collect();
        assert_eq!(sizes, [333, 333, 333, 2]);
        assert!(sizes.iter().all(|size| size * models.len() <= MAX_REQUEST_TASKS));
    }
}
