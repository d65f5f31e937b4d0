//! Cuts what is found into parts, one for each request.

use flota_client::Submission;
use flota_core::{ModelName, limits::MAX_API_BODY_BYTES};
use futures::{Stream, stream};
use tokio::sync::mpsc;

use super::input::Input;

/// What an image takes in a body beside a long URL: its address in the fleet, an id of 128 bytes, and the
/// names of the fields.
const IMAGE_BYTES: usize = 320;
/// What a body may have for images: the rest is for the models and the callback.
const BODY_BYTES: usize = MAX_API_BODY_BYTES - 64 * 1024;

/// What becomes one request. Where a part ends depends only on what is given, not on what of it can be
/// read: what was submitted once is cut alike when it is submitted again.
#[derive(Debug)]
pub(super) struct Part {
    /// At least one.
    pub inputs: Vec<Input>,
}

/// The parts of what `found` brings, for requests to `models`.
pub(super) fn parts(
    found: mpsc::Receiver<Input>,
    models: &[ModelName],
) -> impl Stream<Item = Part> + use<> {
    let cutter = Cutter { found, max_images: Submission::max_images(models.len()), next: None };
    stream::unfold(cutter, async |mut cutter| {
        let part = cutter.next_part().await?;
        Some((part, cutter))
    })
}

struct Cutter {
    found: mpsc::Receiver<Input>,
    max_images: usize,
    /// Found, and too much for the part before.
    next: Option<Input>,
}

impl Cutter {
    async fn next_part(&mut self) -> Option<Part> {
        let (mut inputs, mut size_bytes) = (Vec::new(), 0);
        while inputs.len() < self.max_images {
            let Some(input) = self.take().await else { break };
            let input_bytes = match &input {
                Input::Url { url, .. } => IMAGE_BYTES + url.len(),
                Input::Image(_) | Input::Unreadable(_) => IMAGE_BYTES,
            };
            if !inputs.is_empty() && size_bytes + input_bytes > BODY_BYTES {
                self.next = Some(input);
                break;
            }
            size_bytes += input_bytes;
            inputs.push(input);
        }
        (!inputs.is_empty()).then_some(Part { inputs })
    }

    async fn take(&mut self) -> Option<Input> {
        match self.next.take() {
            Some(input) => Some(input),
            None => self.found.recv().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn sizes(urls: Vec<String>, models: usize) -> Vec<usize> {
        let (sender, found) = mpsc::channel(4);
        let sending = async move {
            for url in urls {
                sender.send(Input::Url { url, place: None }).await.unwrap();
            }
        };
        let names = ["a", "b", "c"].map(|name| name.parse().unwrap());
        let cutting = parts(found, &names[..models]).map(|part| part.inputs.len()).collect();
        futures::join!(sending, cutting).1
    }

    #[tokio::test]
    async fn no_part_has_more_than_a_request_may_and_nothing_is_lost() {
        let short = |count: usize| (0..count).map(|n| format!("https://a/{n}")).collect();
        assert_eq!(sizes(short(2_500), 1).await, [1_000, 1_000, 500]);
        assert_eq!(sizes(short(700), 3).await, [333, 333, 34]);
        assert_eq!(sizes(short(0), 1).await, [0; 0]);
        let long: Vec<String> = (0..1_000).map(|n| format!("{n:02000}")).collect();
        let cut = sizes(long, 1).await;
        assert_eq!(cut.iter().sum::<usize>(), 1_000);
        assert!(cut.iter().all(|count| count * 2_000 < MAX_API_BODY_BYTES), "{cut:?}");
    }
}
