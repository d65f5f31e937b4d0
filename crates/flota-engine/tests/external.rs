//! Weights in files beside the ONNX file. The tests run in the folder of those files, where an engine
//! that opens files by itself would find them.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

#[path = "golden/installed.rs"]
mod installed;

use std::{collections::BTreeMap, env, fs, path::Path};

use flota_core::Manifest;
use flota_engine::{Hashed, LoadError, Model, Runtime, TensorData, Weights};
use installed::runtimes;

/// What `make.py` prints: each of numpy's sums.
const EXTERNAL: [f32; 3] = [180.496_34, 181.519_53, 182.475_59];

/// The folder of the fixtures, which is the current one from then on.
fn fixtures() -> &'static Path {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    env::set_current_dir(folder).unwrap();
    folder
}

fn read(file: &str) -> Vec<u8> {
    fs::read(fixtures().join(file)).unwrap()
}

fn weights(onnx: &[u8], data: &[(&str, &[u8])]) -> Weights {
    let hashed = |bytes: &[u8]| Hashed::new(bytes.into());
    let data = data.iter().map(|(location, bytes)| ((*location).to_owned(), hashed(bytes)));
    Weights::new(hashed(onnx), data.collect::<BTreeMap<_, _>>())
}

fn load(runtime: &Runtime, weights: &Weights) -> Result<Model, LoadError> {
    let text = "{name: sums, version: '1', weights: {file: a}, labels: [r, g, b], \
        input: {width: 4, height: 4, scale: 1.0, resize: {mode: exact}}, output: {kind: regression}}";
    let manifest = Manifest::parse("model.yaml", text).unwrap();
    Model::load(runtime, manifest, weights, ["r", "g", "b"].map(str::to_owned).to_vec())
}

/// What the network answers to the channels 10, 20 and 30.
fn sums(model: &Model) -> Vec<f32> {
    let mut inputs = model.black().unwrap();
    let (_, tensor) = inputs.iter_mut().next().unwrap();
    let channel = |level: f32| std::iter::repeat_n(level, 16);
    tensor.data =
        TensorData::F32(channel(10.0).chain(channel(20.0)).chain(channel(30.0)).collect());
    let answers = model.session(1).unwrap().run(&[inputs]).unwrap();
    model.numbers(&answers[0]).unwrap().to_vec()
}

#[track_caller]
fn assert_near(found: &[f32], wanted: [f32; 3]) {
    let is_near = |(found, wanted): (&f32, &f32)| (found - wanted).abs() <= wanted.abs() * 1e-5;
    assert!(
        found.len() == 3 && found.iter().zip(&wanted).all(is_near),
        "{found:?}, not {wanted:?}"
    );
}

#[test]
fn listed_data_are_what_runs_whatever_lies_in_the_folder() {
    let (onnx, data) = (read("external.onnx"), read("external.onnx.data"));
    let mut other = data.clone();
    // The bias is the last of the tensors.
    let bias = other.len() - 12;
    other[bias..bias + 4].copy_from_slice(&1_000.5_f32.to_le_bytes());
    let other_sums = [EXTERNAL[0] + 1_000.0, EXTERNAL[1], EXTERNAL[2]];
    for runtime in runtimes() {
        for (data, wanted) in [(&data, EXTERNAL), (&other, other_sums)] {
            let model = load(&runtime, &weights(&onnx, &[("external.onnx.data", data)])).unwrap();
            assert_near(&sums(&model), wanted);
            let mut second = model.session(1).unwrap();
            let black = second.run(&[model.black().unwrap()]).unwrap();
            assert_near(
                model.numbers(&black[0]).unwrap(),
                [wanted[0] - EXTERNAL[0] + 0.5, 1.5, 2.5],
            );
        }
        // A large initializer, which is not put into the ONNX file.
        let mut zeros = data.clone();
        zeros[..3 * 8192 * 4].fill(0);
        let model = load(&runtime, &weights(&onnx, &[("external.onnx.data", &zeros)])).unwrap();
        assert_near(&sums(&model), [0.5, 1.5, 2.5]);
    }
}

#[test]
fn data_in_branches_and_functions_and_sparse_tensors_are_what_runs_or_refused() {
    for (name, wanted, by_tract) in [
        ("external-branch", [20.0, 60.0, 120.0], true),
        ("external-function", [110.0, 220.0, 330.0], false),
        ("external-sparse", [15.0, 20.0, 36.0], false),
    ] {
        let (onnx, file) = (read(&format!("{name}.onnx")), format!("{name}.onnx.data"));
        let data = read(&file);
        for runtime in runtimes() {
            let loaded = load(&runtime, &weights(&onnx, &[(&file, &data)]));
            if matches!(runtime, Runtime::Tract) && !by_tract {
                let error = loaded.unwrap_err();
                assert!(matches!(error, LoadError::NeedsOnnxRuntime(_)), "{name}: {error}");
                continue;
            }
            assert_near(&sums(&loaded.unwrap_or_else(|e| panic!("{name} {runtime}: {e}"))), wanted);
        }
    }
}

#[test]
fn what_is_not_listed_is_refused_by_name_with_the_cure() {
    for name in ["external", "external-branch", "external-function", "external-sparse"] {
        let (onnx, file) = (read(&format!("{name}.onnx")), format!("{name}.onnx.data"));
        assert!(Path::new(&file).exists(), "an engine would find it");
        for runtime in runtimes() {
            let error = load(&runtime, &onnx.as_slice().into()).unwrap_err().to_string();
            let cure = format!("keeps weights in `{file}`: add `data: [{file}]` to `weights`");
            assert!(error.contains(&cure), "{runtime} {name}: {error}");
        }
    }
}

#[test]
fn what_lies_elsewhere_is_refused_even_if_it_is_listed() {
    let (onnx, data) = (read("external.onnx"), read("external.onnx.data"));
    let known = b"external.onnx.data";
    for place in ["../../outside.data", "/outside/onnx.data", "a/../../../b/.data"] {
        assert_eq!(place.len(), known.len());
        let mut onnx = onnx.clone();
        while let Some(at) = onnx.windows(known.len()).position(|bytes| bytes == known) {
            onnx[at..at + known.len()].copy_from_slice(place.as_bytes());
        }
        for runtime in runtimes() {
            let error = load(&runtime, &weights(&onnx, &[(place, &data)])).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains("outside of its folder"), "{error}");
        }
    }
}

#[test]
fn data_that_are_cut_off_or_of_no_use_are_refused() {
    let (onnx, data) = (read("external.onnx"), read("external.onnx.data"));
    let means = read("means.onnx");
    let location = "external.onnx.data";
    for runtime in runtimes() {
        let refusal = |weights: Weights| load(&runtime, &weights).unwrap_err().to_string();
        let short = refusal(weights(&onnx, &[(location, &data[..data.len() - 4])]));
        assert!(short.contains("tensor `value` lies beyond them"), "{short}");
        let unused = refusal(weights(&means, &[(location, &data)]));
        assert!(unused.contains("to which the ONNX file does not refer"), "{unused}");
        let cut = refusal(weights(&onnx[..onnx.len() - 7], &[(location, &data)]));
        assert!(cut.contains("not an ONNX file"), "{cut}");
    }
}
