//! What a network answers again, and of two images at once.

use std::{fs, path::Path};

use flota_core::Manifest;
use flota_engine::{LoadError, Model, Runtime};

use crate::installed::runtimes;

fn load(runtime: &Runtime, name: &str) -> Result<Model, LoadError> {
    let file = format!("tests/fixtures/checked/{name}.onnx");
    let weights = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let text = "{format: 2, name: a, version: '1', weights: {file: a}, labels: [x, y, z], \
        input: {width: 8, height: 8, resize: {mode: exact}}, output: {kind: scores}}";
    let manifest = Manifest::parse("model.yaml", text).unwrap();
    let labels = ["x", "y", "z"].map(String::from).into();
    Model::load(runtime, manifest, &weights.as_slice().into(), labels)
}

fn is_near(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
}

#[test]
fn a_sound_network_answers_the_same_again_and_beside_others() {
    for runtime in runtimes() {
        let model = load(&runtime, "dead-label").unwrap();
        let mut session = model.session(1).unwrap();
        let answers = model.probe(session.as_mut()).unwrap();
        let again = model.probe_again(session.as_mut()).unwrap();
        let together = again.together.unwrap();
        assert!(is_near(&again.repeated, &answers[0].numbers), "{runtime}");
        for (together, alone) in together.iter().zip(&answers) {
            assert!(is_near(together, &alone.numbers), "{runtime}");
        }
        let beyond = model.probe_beyond(session.as_mut());
        assert_eq!(beyond.len(), 2 * answers.len());
        assert!(beyond.iter().any(|numbers| numbers[0].abs() > 100.0), "{runtime}");
    }
}

#[test]
fn answers_that_depend_on_the_batch_show_where_the_engine_runs_it_whole() {
    for runtime in runtimes() {
        let model = load(&runtime, "of-its-batch").unwrap();
        let mut session = model.session(1).unwrap();
        let answers = model.probe(session.as_mut()).unwrap();
        let [first, _] = model.probe_again(session.as_mut()).unwrap().together.unwrap();
        // tract runs a batch image by image.
        let is_alone = matches!(runtime, Runtime::Tract);
        assert_eq!(is_near(&first, &answers[0].numbers), is_alone, "{runtime}");
    }
}

#[test]
fn random_answers_show() {
    for runtime in runtimes() {
        let model = match load(&runtime, "random") {
            Err(LoadError::NeedsOnnxRuntime(_)) if matches!(runtime, Runtime::Tract) => continue,
            loaded => loaded.unwrap(),
        };
        let mut session = model.session(1).unwrap();
        let answers = model.probe(session.as_mut()).unwrap();
        let again = model.probe_again(session.as_mut()).unwrap();
        assert!(!is_near(&again.repeated, &answers[0].numbers), "{runtime}");
    }
}

#[test]
fn a_graph_in_training_mode_is_refused_with_the_cure() {
    for runtime in runtimes() {
        for name in ["dropout-training", "norm-training"] {
            let error = load(&runtime, name).unwrap_err().to_string();
            assert!(
                error.contains("training mode") && error.ends_with("after `model.eval()`"),
                "{error}"
            );
        }
        load(&runtime, "dropout").unwrap();
    }
}
