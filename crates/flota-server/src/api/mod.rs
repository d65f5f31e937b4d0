//! The endpoints of the HTTP API.

mod acting;
mod body;
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
mod requests;
mod resolutions;
mod router;
mod starts;
mod state;
mod submission;
mod submit;
#[cfg(test)]
mod tests;

pub(crate) use router::{reserve, router};
pub(crate) use state::{Api, Poll};
