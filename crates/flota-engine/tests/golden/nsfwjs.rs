//! The network of nsfwjs: the whole image squeezed, corners on corners.

use std::path::Path;

use flota_engine::Model;
use serde_json::Value;

use crate::data;

const PHOTO_COUNT: usize = 18;
/// Where both sides begin with the same pixels.
const MAX_SAME_PIXELS_DISTANCE: f64 = 1e-4;
/// Where each decodes for itself.
const MAX_DISTANCE: f64 = 0.02;
const LABELS: [&str; 5] = ["Drawing", "Hentai", "Neutral", "Porn", "Sexy"];

fn nsfwjs(folder: &Path) -> [Model; 3] {
    let rest = "labels: [Drawing, Hentai, Neutral, Porn, Sexy]\n\
        input: {width: 224, height: 224, layout: nhwc, resize: {mode: exact}, \
        filter: bilinear_align_corners}\n\
        output: {kind: softmax}";
    data::models(folder, "nsfwjs_mobilenet_v2-fp32.onnx", &LABELS.map(str::to_owned), rest)
}

/// The farthest that a probability lies from the expected one.
fn distance(model: &Model, file: &Path, expected: &Value) -> f64 {
    let numbers = data::numbers(model, &data::picture(file));
    let output = model.label(&numbers).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), output.scores().len());
    output
        .scores()
        .iter()
        .map(|score| (f64::from(score.score) - expected[&score.label].as_f64().unwrap()).abs())
        .fold(0.0, f64::max)
}

#[test]
fn probabilities_agree_with_its_own_preprocessing_and_with_none() {
    let Some(folder) = data::folder(2 * PHOTO_COUNT, "nsfwjs on photos") else { return };
    let expected = data::expected(&folder);
    let models = nsfwjs(&folder);
    let photos = expected["images"].as_array().unwrap();
    assert_eq!(photos.len(), PHOTO_COUNT);
    for (model, photo) in models.iter().flat_map(|m| photos.iter().map(move |p| (m, p))) {
        let file = |key: &str| folder.join(photo[key].as_str().unwrap());
        let same = &photo["nsfwjs_on_golden224_numeric_check_only"];
        let found = distance(model, &file("golden224"), same);
        assert!(found <= MAX_SAME_PIXELS_DISTANCE, "{} {found}", photo["golden224"]);
        let found = distance(model, &file("image"), &photo["nsfwjs_mobilenet_v2-fp32"]);
        println!("{} {found:.5}", photo["image"]);
        assert!(found <= MAX_DISTANCE, "{} {found}", photo["image"]);
    }
}

#[test]
fn a_mug_is_neutral_and_a_drawing_is_what_its_authors_say() {
    let Some(folder) = data::folder(2, "nsfwjs on a mug and its own snapshot") else { return };
    for model in nsfwjs(&folder) {
        let mug = data::numbers(&model, &data::picture(&folder.join("photos/triton_mug.jpg")));
        let output = model.label(&mug).unwrap();
        assert_eq!(output.scores()[0].label, "Neutral");
        assert!(output.scores()[0].score > 0.99, "{output:?}");

        let upstream = &data::expected(&folder)["nsfwjs_upstream"];
        let file = folder.join(upstream["image"].as_str().unwrap());
        let found = distance(&model, &file, &upstream["snapshot"]);
        assert!(found <= MAX_DISTANCE, "{found}");
    }
}
