//! Makes a request of the images of a part, without those that the server refuses.

use std::collections::BTreeMap;

use flota_client::{Error, FieldError, SubmittedImage};

use super::sending::{Sender, Sent};
use crate::{print::plain, show::count};

/// An image of a request, and what people call it.
#[derive(Debug)]
pub(super) struct NamedImage {
    /// As the request has it.
    pub image: SubmittedImage,
    /// A path or a URL.
    pub name: String,
}

impl Sender {
    /// Submits `images`. Those that the server refuses are named, and the others are submitted without them;
    /// `None` where none is left.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses more than images.
    pub async fn request(&self, mut images: Vec<NamedImage>) -> anyhow::Result<Option<Sent>> {
        while !images.is_empty() {
            let submission = self.submission(images.iter().map(|it| it.image.clone()).collect());
            // Made of what is sent: without an image it is another request, with another key.
            let key = self.run.key(&submission)?;
            let text = key.to_string();
            let answer =
                self.patiently(async || self.client.submit(&submission, Some(&text)).await).await;
            let error = match answer {
                Ok(request) => {
                    self.run.record(&key, request.id);
                    return Ok(Some(Sent { id: request.id, image_count: images.len() }));
                }
                Err(error) => error,
            };
            let Some(refused) = refused_images(&error, images.len()) else {
                return Err(explained(error, images.len()));
            };
            for (place, why) in &refused {
                self.progress
                    .refused(&format!("cannot submit {}: {why}", plain(&images[*place].name)));
            }
            let mut places = 0..images.len();
            images.retain(|_| places.next().is_some_and(|place| !refused.contains_key(&place)));
        }
        Ok(None)
    }
}

/// The places of the images that the server refuses out of `count`, and why; `None` where it refuses something
/// else.
fn refused_images(error: &Error, count: usize) -> Option<BTreeMap<usize, String>> {
    let refusal = error.refusal()?;
    if refusal.status != 422 || refusal.errors.is_empty() {
        return None;
    }
    let image = |error: &FieldError| {
        error.image().filter(|place| *place < count).map(|place| (place, error.message.clone()))
    };
    refusal.errors.iter().map(image).collect()
}

/// The error of a request that is refused for more than its images: it says which field is wrong.
fn explained(error: Error, image_count: usize) -> anyhow::Error {
    let Some(refusal) = error.refusal() else { return error.into() };
    let images = count(image_count, "image");
    let other = refusal.errors.iter().find(|error| error.image().is_none());
    let sentence = match other {
        Some(FieldError { field, message }) if refusal.errors.len() > 1 => {
            format!("cannot submit a request of {images}: `{field}`: {message}")
        }
        _ => format!("cannot submit a request of {images}"),
    };
    anyhow::Error::from(error).context(sentence)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Json, Router,
        extract::State,
        http::{HeaderMap, StatusCode},
        routing::post,
    };
    use flota_client::Client;
    use serde_json::{Value, json};
    use tokio::{net::TcpListener, sync::Semaphore, task::AbortHandle};

    use super::{
        super::{input::Input, parts::Part, progress::Progress, unfinished::Run},
        *,
    };

    type Taken = Arc<Mutex<Vec<(String, Vec<String>)>>>;

    /// Notes keys and URLs; refuses URLs with `bad` in them, two at a time, and callbacks with it.
    async fn take(
        State(taken): State<Taken>,
        headers: HeaderMap,
        Json(body): Json<Value>,
    ) -> (StatusCode, Json<Value>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let urls = body["images"].as_array().unwrap().iter().map(|image| text(&image["url"]));
        let urls: Vec<String> = urls.collect();
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        taken.lock().unwrap().push((key, urls.clone()));
        let bad = urls.iter().enumerate().filter(|(_, url)| url.contains("bad")).take(2);
        let mut errors: Vec<_> = bad
            .map(|(n, _)| json!({"field": format!("images[{n}].url"), "message": "not a URL"}))
            .collect();
        if text(&body["callback"]["url"]).contains("bad") {
            errors.push(json!({"field": "callback.url", "message": "is blocked"}));
        }
        if !errors.is_empty() {
            let problem =
                json!({"detail": "first; and more", "code": "INVALID_VALUE", "errors": errors});
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(problem));
        }
        let counts = json!({"total": 1, "open": 1, "succeeded": 0, "failed": 0, "expired": 0,
            "canceled": 0});
        let answer = json!({"id": "req_01a1fc26bc9979c9a01869fe472fb51e", "status": "queued",
            "terminal": false, "counts": counts, "models": ["a"], "image_count": 1, "priority": "normal",
            "timings": {"created_at": "2026-11-21T10:00:00Z"}, "rounds": [], "callbacks": [],
            "outcomes": []});
        (StatusCode::ACCEPTED, Json(answer))
    }

    async fn server() -> (Client, Taken, AbortHandle) {
        let taken = Taken::default();
        let routes = Router::new().route("/v1/requests", post(take)).with_state(Arc::clone(&taken));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        (Client::new(url.parse().unwrap()), taken, serving.abort_handle())
    }

    fn sender(client: Client, callback: Option<&str>) -> Sender {
        Sender {
            client,
            models: vec!["a".parse().unwrap()],
            callback: callback.map(str::to_owned),
            run: Run::forgotten(),
            upload_count: 1,
            uploads: Semaphore::new(1),
            uploading: Semaphore::new(1),
            progress: Progress::new(true),
        }
    }

    fn part(urls: &[&str]) -> Part {
        let input = |url: &&str| Input::Url { url: (*url).to_owned(), place: None };
        Part { inputs: urls.iter().map(input).collect() }
    }

    #[tokio::test]
    async fn images_that_are_refused_are_counted_and_the_others_are_submitted() {
        let (client, taken, serving) = server().await;
        let sender = sender(client, None);
        let given =
            ["https://a/1", "https://bad/1", "https://a/2", "https://bad/2", "https://bad/3"];
        let sent = sender.send(part(&given)).await.unwrap().unwrap();
        assert_eq!((sent.image_count, sender.progress.failed_count()), (2, 3));
        let first = taken.lock().unwrap().clone();
        let left: Vec<Vec<String>> = first.iter().map(|(_, urls)| urls.clone()).collect();
        assert_eq!(left[0], given);
        assert_eq!(left[1..], [vec![given[0], given[2], given[4]], vec![given[0], given[2]]]);
        assert!(
            first[0].0 != first[1].0 && first[1].0 != first[2].0,
            "another content, another key"
        );

        // The same again, as a run that is resumed sends it: the server knows the last key.
        sender.send(part(&given)).await.unwrap().unwrap();
        assert_eq!(taken.lock().unwrap().last(), first.last());
        assert!(sender.send(part(&given[3..])).await.unwrap().is_none(), "none is left");
        serving.abort();
    }

    #[tokio::test]
    async fn what_is_wrong_with_more_than_images_ends_the_submission_and_is_said() {
        let (client, taken, serving) = server().await;
        let sender = sender(client, Some("https://bad/hook"));
        for (given, wanted) in [
            (
                &["https://a/1"][..],
                "cannot submit a request of 1 image: first; and more (INVALID_VALUE)",
            ),
            (
                &["https://bad/1", "https://a/1"],
                "cannot submit a request of 2 images: `callback.url`: is blocked: first; and more (INVALID_VALUE)",
            ),
        ] {
            let error = sender.send(part(given)).await.unwrap_err();
            assert_eq!(format!("{error:#}"), wanted);
        }
        assert_eq!((taken.lock().unwrap().len(), sender.progress.failed_count()), (2, 0));
        serving.abort();
    }
}
