//! Networks of other shapes: grey, of a fixed batch, with several outputs.

use flota_core::Manifest;
use flota_engine::Model;

use crate::{data, installed::runtimes};

#[test]
fn a_grey_network_of_a_fixed_batch_reads_a_nine() {
    let Some(folder) = data::folder(1, "MNIST") else { return };
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let rest = "labels: {file: digits.txt}\n\
        input: {width: 28, height: 28, color: grey, scale: 1.0, resize: {mode: exact}}\n\
        output: {kind: scores, top_k: 1}";
    let nine = data::picture(&folder.join("photos/coral_mnist_nine.bmp"));
    for model in data::models(&folder, "mnist.onnx", &digits, rest) {
        let output = model.label(&data::numbers(&model, &nine)).unwrap();
        assert_eq!(output.scores()[0].label, "9");
    }
}

#[test]
fn a_network_of_several_outputs_says_which_it_has() {
    let Some(folder) = data::folder(1, "UltraFace") else { return };
    let weights = data::read(&folder.join("models/ultraface-RFB-320.onnx")).as_slice().into();
    for (name, wanted) in [("", "more than one output"), ("name: faces, ", "no output `faces`")] {
        let text = format!(
            "{{name: faces, version: '1', weights: {{file: a}}, \
             input: {{width: 320, height: 240, resize: {{mode: exact}}}}, \
             output: {{{name}kind: embedding}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &text).unwrap();
        for runtime in runtimes() {
            let loaded = Model::load(&runtime, manifest.clone(), &weights, Vec::new());
            let error = loaded.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert!(error.contains("`scores`, `boxes`"), "{error}");
        }
    }
}
