//! Event notifications as others have published them.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flota_core::uploads;

const HAPPY_FACE: &str = "s3://sourcebucket/Happy%20Face.jpg?versionId=version";

/// Each sample, and what it tells.
const SAMPLES: [(&str, &[&str]); 4] = [
    ("s3-event.json", &[HAPPY_FACE]),
    ("s3-event-with-decoded.json", &[HAPPY_FACE]),
    // An object that came back from an archive is no upload.
    ("s3-glacier-event.json", &[]),
    // What a function is given of a queue, which is no upload.
    ("sqs-event.json", &[]),
];

/// The folder of the samples; `None`, with a warning that is seen, where it is absent.
fn folder() -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = env::var_os("FLOTA_GOLDEN_DATA").map_or(usual, PathBuf::from);
    let samples = data.join("events");
    if samples.is_dir() {
        return Some(samples);
    }
    let warning = format!("warning: no sample events: {} checks not run\n", SAMPLES.len());
    std::io::stderr().write_all(warning.as_bytes()).unwrap();
    None
}

#[test]
fn published_samples_are_read() {
    let Some(folder) = folder() else { return };
    for (name, wanted) in SAMPLES {
        let body = fs::read_to_string(folder.join(name)).unwrap();
        let read = uploads(&body).into_iter().map(|read| match read {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        });
        assert_eq!(read.collect::<Vec<_>>(), wanted, "{name}");
    }
}
