//! The HTTP calls.

mod body;
mod dead_letter_view;
mod dead_letters;
mod document;
mod extract;
mod guard;
mod health;
mod images;
mod json;
mod models;
mod planned;
mod predictions;
mod problem;
mod replays;
mod request_view;
mod requests;
mod resolutions;
mod router;
pub(crate) mod schemas;
mod starts;
mod state;
mod submission;
mod submit;
#[cfg(test)]
mod tests;

pub(crate) use router::{reserve, router};
pub(crate) use state::{Api, Poll};
