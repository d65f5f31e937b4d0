//! Files of public bug reports, as Pillow 13 sees them: upright, over white.

use flota_core::{Code, ImageFlag, Limits};
use flota_engine::{TensorData, decode, preprocess};
use serde_json::Value;

use crate::data;

/// Files of the folder, its two descriptions aside.
const FILE_COUNT: usize = 33;
/// The four places are those of a 16 x 16 reduction at these offsets.
const NEAR: usize = 3;
const FAR: usize = 12;
/// Levels of 255: decoders interpolate colours of JPEG and WebP differently.
const MAX_DISTANCE: i64 = 12;
/// What is refused, with the code: Pillow refuses all of them, or the kind is not read.
const REFUSED: [&str; 4] = ["gzip.jpg.gz", "heic.heic", "html.jpg", "tiff-float255.tif"];

fn small(bytes: &[u8]) -> Option<(Vec<f32>, (u32, u32))> {
    let image = decode(bytes, &Limits::default()).ok()?;
    let text = "{name: a, version: '1', weights: {file: a}, output: {kind: embedding}, \
        input: {width: 16, height: 16, layout: nhwc, scale: 1.0, resize: {mode: exact}}}";
    let spec = flota_core::Manifest::parse("model.yaml", text).unwrap().input;
    match preprocess(&image, &spec).data {
        TensorData::F32(values) => Some((values, (image.width, image.height))),
        _ => panic!("floats are asked for"),
    }
}

#[test]
fn each_is_seen_as_pillow_sees_it_or_refused_by_name() {
    let Some(folder) = data::folder(FILE_COUNT, "files of bug reports") else { return };
    let folder = folder.join("reports");
    let expected: Value =
        serde_json::from_slice(&data::read(&folder.join("expected.json"))).unwrap();
    let places = [("top_left", NEAR, NEAR), ("top_right", NEAR, FAR)];
    let places = [places, [("bottom_left", FAR, NEAR), ("bottom_right", FAR, FAR)]].concat();
    for (name, facts) in expected.as_object().unwrap() {
        let bytes = data::read(&folder.join(name));
        let Some((values, size)) = small(&bytes) else {
            let error = decode(&bytes, &Limits::default()).unwrap_err();
            assert!(REFUSED.contains(&name.as_str()), "{name}: {error}");
            assert_eq!(error.code(), Code::DecodeUnsupported, "{name}");
            continue;
        };
        let upright = &facts["upright_size"];
        assert_eq!(
            [&upright[0], &upright[1]].map(Value::as_u64),
            [size.0, size.1].map(|s| Some(s.into()))
        );
        for (place, row, column) in &places {
            let rgb = &facts["rgb_of_the_16x16_bilinear_reduction_at"][place];
            for channel in 0..3 {
                let found = values[3 * (16 * row + column) + channel] as i64;
                let distance = (found - rgb[channel].as_i64().unwrap()).abs();
                assert!(distance <= MAX_DISTANCE, "{name} at {place}: {distance} off");
            }
        }
    }
    for name in ["png-gama-trick.png", "jpeg-icc-swapped.jpg"] {
        let image = data::picture(&folder.join(name));
        assert!(image.flags.contains(&ImageFlag::ColorShifted), "{name}: {:?}", image.flags);
    }
}
