//! A client of a Flota server: submit images, wait for what the models say, and verify callbacks.
//!
//! ```no_run
//! use flota_client::{Client, Submission, SubmittedImage};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:8080".parse()?);
//! let uploaded = client.upload_file("photo.jpg").await?;
//! let images = vec![SubmittedImage::at(uploaded.url)];
//! let request = client.submit(&Submission::new(images, &["image-quality".parse()?]), None).await?;
//! let finished = client.wait(request.id).await?;
//! println!("{}", finished.status);
//! for outcome in client.outcomes(request.id).await? {
//!     println!("{}: {:?}", outcome.task().image.url, outcome.prediction());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::stream`] gives each outcome as soon as it is recorded, [`patiently`] makes a call again while its cause
//! of failure passes, and [`Webhooks`] verifies what the server posts to a callback URL. The types of calls and
//! answers are those of [`flota_api`], which the server uses too.

mod client;
mod dead_letters;
mod error;
mod retry;
mod verbatim;
mod waiting;
mod webhooks;

pub use client::Client;
pub use error::{Error, Refusal};
pub use flota_api::*;
pub use retry::patiently;
pub use verbatim::{Verbatim, VerbatimObject};
pub use webhooks::{Webhooks, WebhooksError};
