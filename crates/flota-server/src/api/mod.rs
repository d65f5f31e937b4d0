//! The HTTP calls.

mod dead_letter_view;
mod dead_letters;
mod decisions;
mod document;
mod extract;
mod health;
mod images;
mod json;
mod models;
mod predictions;
mod problem;
mod replays;
mod request_view;
mod requests;
mod router;
mod routes;
pub(crate) mod schemas;
mod starts;
mod state;
mod submission;
mod submit;
#[cfg(test)]
mod tests;

pub(crate) use router::router;
pub(crate) use routes::Routes;
pub(crate) use state::{Api, Poll, UploadBudget};
