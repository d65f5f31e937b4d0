//! Where the data are, and what Python says of them.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flota_core::{Limits, Manifest};
use flota_engine::{DecodedImage, Model, decode};
use serde_json::Value;

use crate::installed::runtimes;

/// The folder of the data; `None`, with a warning that counts what is not run, where it is absent.
///
/// # Panics
/// If `FLOTA_GOLDEN_DATA` names a folder without them.
pub fn folder(check_count: usize, what: &str) -> Option<PathBuf> {
    if let Some(named) = env::var_os("FLOTA_GOLDEN_DATA").map(PathBuf::from) {
        let there = named.join("expected.json").is_file();
        assert!(there, "FLOTA_GOLDEN_DATA names {}, which has no expected.json", named.display());
        return Some(named);
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if usual.join("expected.json").is_file() {
        return Some(usual);
    }
    // Written past the capture of passing tests, so that it is seen.
    let warning = format!("warning: no golden data: {check_count} checks not run ({what})\n");
    std::io::stderr().write_all(warning.as_bytes()).unwrap();
    None
}

/// `expected.json`.
pub fn expected(folder: &Path) -> Value {
    serde_json::from_slice(&read(&folder.join("expected.json"))).unwrap()
}

pub fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub fn picture(file: &Path) -> DecodedImage {
    decode(&read(file), &Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All files of a folder of the data, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// A model of `folder/models`, described by the lines of a manifest from `labels` on, in each engine.
pub fn models(folder: &Path, file: &str, labels: &[String], rest: &str) -> [Model; 3] {
    let text = format!("name: golden\nversion: '1'\nweights: {{file: {file}}}\n{rest}");
    let manifest = Manifest::parse("model.yaml", &text).unwrap();
    let weights = read(&folder.join("models").join(file)).as_slice().into();
    runtimes()
        .map(|runtime| Model::load(&runtime, manifest.clone(), &weights, labels.to_vec()).unwrap())
}

/// What the network answers of one image.
pub fn numbers(model: &Model, image: &DecodedImage) -> Vec<f32> {
    let inputs = model.prepare(image).unwrap();
    let answers = model.session(1).unwrap().run(&[inputs]).unwrap();
    model.numbers(&answers[0]).unwrap().to_vec()
}
