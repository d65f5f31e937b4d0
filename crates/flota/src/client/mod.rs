//! Asks a fleet over HTTP.

mod answer;
mod http;
mod submission;

pub(crate) use answer::{
    DeadLetterAnswer, DeadLetterPage, EndingAnswer, ModelAnswer, OutcomeAnswer, ReplayPage,
    RequestAnswer, UploadAnswer,
};
pub(crate) use http::{Client, DeadLetterQuery};
pub(crate) use submission::{Submission, SubmittedImage};
