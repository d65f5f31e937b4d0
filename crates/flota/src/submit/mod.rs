//! `flota submit`: any number of images, uploaded and submitted as they are found.

mod input;
mod parts;
mod progress;
mod requesting;
mod run;
mod sending;
mod unfinished;

pub(crate) use run::submit;
pub(crate) use sending::{UPLOADS_AT_ONCE, upload_all};
