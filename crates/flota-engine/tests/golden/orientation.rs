//! Nine files of one image, each stored another way round.

use flota_core::{InputSpec, Manifest};
use flota_engine::{DecodedImage, TensorData, preprocess};

use crate::data;

/// Mean distance of the small images' values, of 255: JPEG was written anew for each.
const MAX_MEAN_DISTANCE: f64 = 4.0;
/// What two different ways round differ by at least, so that the test would notice.
const MIN_TURNED_DISTANCE: f64 = 20.0;

fn small(image: &DecodedImage) -> Vec<f32> {
    let text = "{name: a, version: '1', weights: {file: a}, \
        input: {width: 60, height: 40, scale: 1.0, resize: {mode: exact}}, \
        output: {kind: embedding}}";
    let spec: InputSpec = Manifest::parse("model.yaml", text).unwrap().input;
    match preprocess(image, &spec).data {
        TensorData::F32(values) => values,
        _ => panic!("floats are asked for"),
    }
}

fn mean_distance(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.len() as f64
}

#[test]
fn all_of_them_come_out_upright() {
    let Some(folder) = data::folder(9, "EXIF orientations") else { return };
    let first = data::picture(&folder.join("orientation/Landscape_1.jpg"));
    let upright = small(&first);
    let mut upside_down = first.clone();
    upside_down.pixels.reverse();
    assert!(mean_distance(&small(&upside_down), &upright) > MIN_TURNED_DISTANCE);

    let files = data::files(&folder.join("orientation"));
    assert_eq!(files.len(), 9);
    for file in files {
        let image = data::picture(&file);
        assert_eq!((image.width, image.height), (first.width, first.height), "{}", file.display());
        let distance = mean_distance(&small(&image), &upright);
        assert!(distance <= MAX_MEAN_DISTANCE, "{} {distance}", file.display());
    }
}
