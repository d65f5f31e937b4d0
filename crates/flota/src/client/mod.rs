//! Asks a fleet over HTTP.

mod answer;
mod dead_letters;
mod http;
mod retry;
mod submission;
mod verbatim;

pub(crate) use answer::{EndingAnswer, ModelAnswer, OutcomeAnswer, RequestAnswer, UploadAnswer};
pub(crate) use dead_letters::{DeadLetterAnswer, GroupsAnswer, ReplayAnswer, ReplayOrder};
pub(crate) use http::{Client, UploadSource};
pub(crate) use retry::{FieldError, Refusal, Unreachable, patiently};
pub(crate) use submission::{Submission, SubmittedImage};
pub(crate) use verbatim::Verbatim;
