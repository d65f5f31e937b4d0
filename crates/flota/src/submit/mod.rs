//! `flota submit`: any number of images, uploaded and submitted as they are found.

mod input;
mod parts;
mod progress;
mod run;
mod sending;
mod unfinished;

pub(crate) use run::submit;
pub(crate) use sending::upload;
