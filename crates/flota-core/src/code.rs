//! Why a task failed, in words that do not change.

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
    /// The address leads to no image, and time does not change that: the image's server, or our
    /// store, has none there (404, 410), or answers what is no image (400 and other statuses, 304,
    /// a redirect to nowhere, a loop of redirects or more of them than are followed), or the
    /// address names port 0.
    FetchNotFound,
    /// The image's server refused us (401, 402, 403, 407, 451).
    FetchDenied,
    /// The image's address is private, loopback, link-local or otherwise not to be fetched from, or its
    /// host is a name that leads to no address, or to such a one.
    FetchForbiddenAddress,
    /// The image's server did not answer in time, or sent the image too slowly.
    FetchTimeout,
    /// The image could not be fetched for a reason that may pass: no answer, a broken connection,
    /// a name that was not resolved, 408, 425, 429 or 5xx.
    FetchFailed,
    /// More bytes or pixels than the model's limits allow.
    ImageTooLarge,
    /// No bytes at all.
    ImageEmpty,
    /// Not an image, or of a format that Flota does not read.
    DecodeUnsupported,
    /// An image that is cut off or damaged.
    DecodeCorrupt,
    /// The decoder failed by a fault of its own, which says nothing of the image.
    DecodeFailed,
    /// The model ran and reported an error.
    InferFailed,
    /// The model's answer is larger than a prediction may be.
    PredictionTooLarge,
    /// The message names a model that its worker does not serve.
    ModelNotServed,
    /// The task ended its worker's process each time it was begun.
    WorkerCrashed,
    /// A fault that time should have healed did not heal. The reason of dead letters; outcomes keep the
    /// code of the last fault, and had this one in earlier versions.
    AttemptsExhausted,
    /// No outcome came within the longest age of a request. `LOST` in earlier versions.
    #[serde(alias = "LOST")]
    #[strum(to_string = "TIMED_OUT", serialize = "LOST")]
    TimedOut,
}

impl Code {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether time may heal it, so that the task is tried again first.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::FetchTimeout | Self::FetchFailed)
    }
}
