use std::path::PathBuf;

use super::MODEL;

/// The root of the project.
pub fn project_dir() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package is a folder of the project").to_owned()
}

/// The folder of the model that journeys run.
pub fn model_dir() -> PathBuf {
    project_dir().join("tests/models").join(MODEL)
}
