//! SqueezeNet 1.1: ImageNet's usual preprocessing.

use std::path::Path;

use flota_core::{LabelSource, Manifest};
use flota_engine::Model;
use serde_json::Value;

use crate::data;

const PHOTO_COUNT: usize = 18;
const MAX_LOGIT_DISTANCE: f64 = 2e-3;
const MAX_PROBABILITY_DISTANCE: f64 = 0.02;
/// Between first and second, above which two decoders must agree on the first.
const CLEAR_MARGIN: f64 = 0.05;

const LABELS: &str = "labels: {file: imagenet_synset.txt, skip_words: 1}";
const COLORS: &str = "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]";

fn squeezenets(folder: &Path, resize: &str, output: &str) -> [Model; 3] {
    let rest = format!(
        "{LABELS}\ninput: {{width: 224, height: 224, resize: {resize}, {COLORS}}}\noutput: {output}"
    );
    let text = format!("name: a\nversion: '1'\nweights: {{file: a}}\n{rest}");
    let Some(LabelSource::Lines(lines)) = Manifest::parse("model.yaml", &text).unwrap().labels
    else {
        panic!("the labels are in a file");
    };
    let synset = String::from_utf8(data::read(&folder.join("models/imagenet_synset.txt"))).unwrap();
    data::models(folder, "squeezenet1.1-fp32.onnx", &lines.read(&synset).unwrap(), &rest)
}

fn photos(expected: &Value) -> Vec<(&str, &str, &[Value])> {
    let photos: Vec<_> = expected["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|photo| {
            let text = |key: &str| photo[key].as_str().unwrap();
            let top = photo["squeezenet1.1-fp32"]["top5"].as_array().unwrap();
            (text("image"), text("golden224"), top.as_slice())
        })
        .collect();
    assert_eq!(photos.len(), PHOTO_COUNT);
    photos
}

/// Each model with each photo.
fn each<'a>(
    models: &'a [Model],
    expected: &'a Value,
) -> impl Iterator<Item = (&'a Model, (&'a str, &'a str, &'a [Value]))> {
    models.iter().flat_map(|model| photos(expected).into_iter().map(move |photo| (model, photo)))
}

fn index(entry: &Value) -> usize {
    usize::try_from(entry["index"].as_u64().unwrap()).unwrap()
}

#[test]
fn logits_agree_where_both_begin_with_the_same_pixels() {
    let Some(folder) = data::folder(PHOTO_COUNT, "SqueezeNet from pixels") else { return };
    let expected = data::expected(&folder);
    let models = squeezenets(&folder, "{mode: exact}", "{kind: scores}");
    for (model, (_, golden, top)) in each(&models, &expected) {
        let logits = data::numbers(model, &data::picture(&folder.join(golden)));
        let output = model.label(&logits).unwrap();
        for (rank, entry) in top.iter().enumerate() {
            let found = f64::from(logits[index(entry)]);
            let distance = (found - entry["logit"].as_f64().unwrap()).abs();
            assert!(distance <= MAX_LOGIT_DISTANCE, "{golden}: {entry}, found {found}");
            assert_eq!(output.scores()[rank].label, entry["label"].as_str().unwrap(), "{golden}");
        }
    }
}

#[test]
fn probabilities_agree_from_the_file_on() {
    let Some(folder) = data::folder(PHOTO_COUNT, "SqueezeNet from files") else { return };
    let expected = data::expected(&folder);
    let resize = "{mode: shorter_side, size: 256, crop: center}";
    let models = squeezenets(&folder, resize, "{kind: softmax, apply: true, top_k: 100}");
    let mut farthest = 0.0_f64;
    for (model, (photo, _, top)) in each(&models, &expected) {
        let logits = data::numbers(model, &data::picture(&folder.join(photo)));
        let output = model.label(&logits).unwrap();
        let probability = |entry: &Value| entry["prob"].as_f64().unwrap();
        for entry in top {
            let found = output.scores().iter().find(|s| s.index as usize == index(entry)).unwrap();
            let distance = (f64::from(found.score) - probability(entry)).abs();
            farthest = farthest.max(distance);
            assert!(distance <= MAX_PROBABILITY_DISTANCE, "{photo}: {entry}, found {found:?}");
        }
        if probability(&top[0]) - probability(&top[1]) > CLEAR_MARGIN {
            assert_eq!(output.scores()[0].index as usize, index(&top[0]), "{photo}");
        }
    }
    println!("farthest probability: {farthest:.4}");
}
