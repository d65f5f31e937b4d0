//! Stable codes for why a task failed.

use serde::{Deserialize, Serialize};

/// The stable code of a failed task, written `SCREAMING_SNAKE_CASE` everywhere.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// No image is at the URL, and a retry would not change that. The image's server or our store
    /// answered 404 or 410, or something that is no image (400 and other statuses, 304), or
    /// redirected nowhere, in a loop or too often; or the URL names port 0.
    FetchNotFound,
    /// The image's server denied access (401, 402, 403, 407, 451).
    FetchDenied,
    /// The URL resolves to a private, loopback, link-local or otherwise blocked address, or its
    /// host name does not exist.
    FetchForbiddenAddress,
    /// The image's server did not answer in time, or sent the image too slowly.
    FetchTimeout,
    /// A transient failure to fetch the image: no answer, a broken connection, a failed name
    /// lookup, or status 408, 425, 429 or 5xx.
    FetchFailed,
    /// The image has more bytes or pixels than the model's limits allow.
    ImageTooLarge,
    /// The image has no bytes.
    ImageEmpty,
    /// The bytes are no image, or an image of a format that Flota does not read.
    DecodeUnsupported,
    /// The image is cut off or damaged.
    DecodeCorrupt,
    /// The decoder failed because of its own fault. The image may be fine.
    DecodeFailed,
    /// The model reported an error, or its engine did.
    InferFailed,
    /// The model's answer is larger than a prediction may be.
    PredictionTooLarge,
    /// The message names a model that its worker does not serve.
    ModelNotServed,
    /// Each attempt at the task ended the worker's process.
    WorkerCrashed,
    /// A transient fault outlasted all attempts. It is the reason of dead letters; outcomes keep
    /// the code of the last fault. (Earlier versions used this code in outcomes too.)
    AttemptsExhausted,
    /// The task had no outcome within the longest age of a request. Earlier versions called it
    /// `LOST`.
    #[serde(alias = "LOST")]
    #[strum(to_string = "TIMED_OUT", serialize = "LOST")]
    TimedOut,
}

impl Code {
    /// The code as text, such as `FETCH_TIMEOUT`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the fault may pass, so that the task is retried.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::FetchTimeout | Self::FetchFailed)
    }
}
