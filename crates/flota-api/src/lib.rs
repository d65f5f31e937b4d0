//! The types of Flota's HTTP API, once: the server writes what a client reads.
//!
//! A name such as [`ModelName`](flota_core::ModelName) or [`Output`](flota_core::Output) is the domain's. Where the
//! server may learn new words, such as a code, an answer has a [`Word`], so that a client of an earlier version reads
//! it too. With the feature `openapi` each type has its schema.

mod callback;
mod dead_letter;
mod image;
mod model;
mod object;
mod outcome;
mod problem;
mod replay;
mod request;
mod resolution;
#[cfg(feature = "openapi")]
pub mod schemas;
mod submission;
mod word;

pub use callback::{
    CallbackBody, CallbackData, CallbackOutcome, CallbackPrediction, EndedCallback, FailedCallback,
    ImageFlags, SucceededCallback, TaskOfCallback,
};
pub use dead_letter::{
    DeadLetterFacts, DeadLetterGroup, DeadLetterGroups, DeadLetterPage, DeadLetterStateView,
    DeadLetterView, MessageDeadLetter, MessageSubject, TaskDeadLetter, TaskSubject,
    UploadDeadLetter, UploadSubject,
};
pub use image::{CachedImage, CachedPrediction, UploadedImage};
pub use model::{MissingWorker, ModelBacklog, ModelList, ModelView};
pub use object::{Object, whole};
pub use outcome::{
    Ended, EndedOutcome, EndedTask, Failed, FailedOutcome, ImageView, OutcomeView, PredictionView,
    Succeeded, SucceededOutcome,
};
pub use problem::{FieldError, Problem, ProblemCode};
pub use replay::{ReplayCounts, ReplayList, ReplayStateView, ReplayView};
pub use request::{CallbackView, RequestTimings, RequestView, RoundView};
pub use resolution::{DiscardAnswer, DiscardBody, ReplayBody, ReplayDryRun, ReplayOne, Resolution};
pub use submission::{Submission, SubmittedCallback, SubmittedImage};
pub use word::Word;
