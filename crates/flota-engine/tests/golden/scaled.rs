//! How far a network's input lies from that of a whole decode, where a JPEG is decoded smaller.

use flota_core::{InputSpec, Limits, Manifest};
use flota_engine::{TensorData, decode, decode_for, preprocess};

use crate::data;

const PHOTO_COUNT: usize = 18;
/// Mean difference in levels of 255 over all values of a tensor, for the usual `min_scale` of 2.
const MAX_MEAN_DISTANCE: f64 = 0.6;
/// The same for a `min_scale` of 1.
const MAX_MEAN_DISTANCE_AT_ONE: f64 = 1.5;

fn input(resize: &str, jpeg: &str) -> InputSpec {
    let text = format!(
        "{{name: a, version: '1', weights: {{file: a}}, input: {{width: 224, height: 224, \
         dtype: u8, resize: {resize}, jpeg: {jpeg}}}, output: {{kind: embedding}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap().input
}

fn bytes(data: TensorData) -> Vec<u8> {
    match data {
        TensorData::U8(bytes) => bytes,
        _ => panic!("the tensor is of bytes"),
    }
}

#[test]
fn a_smaller_decode_is_near_the_whole_one() {
    let Some(folder) = data::folder(PHOTO_COUNT, "JPEG decoded smaller") else { return };
    let files = data::files(&folder.join("photos"));
    for resize in ["{mode: exact}", "{mode: shorter_side, size: 256}", "{mode: letterbox}"] {
        for (jpeg, bound) in [
            ("{min_scale: 1}", MAX_MEAN_DISTANCE_AT_ONE),
            ("{min_scale: 2}", MAX_MEAN_DISTANCE),
            ("{min_scale: 0, fast_upsampling: true}", MAX_MEAN_DISTANCE),
            ("{min_scale: 4}", MAX_MEAN_DISTANCE),
            ("{min_scale: 0}", 0.0),
        ] {
            let (mut farthest, mut smaller_count) = (0.0_f64, 0);
            let input = input(resize, jpeg);
            for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "jpg")) {
                let encoded = data::read(file);
                let whole = decode(&encoded, &Limits::default()).unwrap();
                let scaled = decode_for(&encoded, &Limits::default(), Some(&input)).unwrap();
                assert_eq!(scaled.original, (whole.width, whole.height), "{}", file.display());
                smaller_count += usize::from(scaled.width < whole.width);
                let (whole, scaled) = (preprocess(&whole, &input), preprocess(&scaled, &input));
                let (whole, scaled) = (bytes(whole.data), bytes(scaled.data));
                let sum: f64 =
                    whole.iter().zip(&scaled).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
                farthest = farthest.max(sum / whole.len() as f64);
            }
            println!("{resize} {jpeg}: {smaller_count} smaller, at most {farthest:.3} levels off");
            assert!(farthest <= bound, "{resize} {jpeg}: {farthest}");
            let is_wanted = ["{min_scale: 1}", "{min_scale: 2}"].contains(&jpeg);
            assert!(!is_wanted || (smaller_count > 0) == cfg!(feature = "turbojpeg"), "{jpeg}");
        }
    }
}
