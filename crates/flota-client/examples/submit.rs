//! Uploads images, has a model look at them, and prints each outcome as soon as it is recorded:
//!
//! ```console
//! $ cargo run -p flota-client --example submit -- http://127.0.0.1:8080 image-quality photo.jpg
//! ```

use std::{env, pin::pin};

use flota_client::{Client, OutcomeView, Submission, SubmittedImage};
use futures::TryStreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, model, files @ ..] = args.as_slice() else {
        return Err("usage: submit URL MODEL IMAGE…".into());
    };
    let client = Client::new(url.parse()?);
    let mut images = Vec::new();
    for file in files {
        let uploaded = client.upload_file(file).await?;
        images.push(SubmittedImage { url: uploaded.url, id: Some(file.clone()) });
    }
    let request = client.submit(&Submission::new(images, &[model.parse()?]), None).await?;
    let mut outcomes = pin!(client.stream(request.id));
    while let Some(outcome) = outcomes.try_next().await? {
        let task = outcome.task();
        let image = task.image.id.as_deref().unwrap_or(&task.image.url);
        match &outcome {
            OutcomeView::Failed(failed) => println!("{image}: {}: {}", failed.code, failed.message),
            OutcomeView::Ended(ended) => println!("{image}: {:?}", ended.outcome),
            OutcomeView::Succeeded(succeeded) => {
                let prediction = succeeded.prediction.as_ref();
                for score in prediction.map_or(&[][..], |prediction| prediction.output.scores()) {
                    println!("{image}: {} {:.3}", score.label, score.score);
                }
            }
        }
    }
    Ok(())
}
