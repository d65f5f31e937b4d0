use flota_core::{InputSpec, Manifest};

use super::*;
use crate::{DecodedImage, ImageFormat};

/// The picture of `tests/fixtures/make.py`, of which Pillow's values are.
fn pattern(width: u32, height: u32) -> DecodedImage {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            pixels.extend([x * 7 + y * 13, x * x + y, x * y].map(|value| (value % 256) as u8));
        }
    }
    DecodedImage::whole((width, height), pixels, ImageFormat::Bmp)
}

fn spec(size: (u32, u32), rest: &str) -> InputSpec {
    let (width, height) = size;
    let text = format!(
        "{{name: a, version: '1', weights: {{file: a.onnx}}, labels: [x], output: {{kind: scores}}, \
         input: {{width: {width}, height: {height}, {rest}}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap().input
}

fn bytes(image: &DecodedImage, spec: &InputSpec) -> Vec<u8> {
    match preprocess(image, spec).data {
        TensorData::U8(bytes) => bytes,
        TensorData::F32(_) => panic!("not bytes"),
    }
}

fn floats(image: &DecodedImage, spec: &InputSpec) -> Vec<f32> {
    match preprocess(image, spec).data {
        TensorData::F32(floats) => floats,
        TensorData::U8(_) => panic!("not floats"),
    }
}

fn check_against_pillow(image: &DecodedImage, spec: &InputSpec, row: usize, wanted: &[u8]) {
    let found = bytes(image, spec);
    let found = &found[row * spec.width as usize * 3..][..wanted.len()];
    let distance = found.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(distance <= 1, "{found:?}, Pillow says {wanted:?}");
}

#[test]
fn antialiased_resizing_agrees_with_pillow() {
    let exact = |filter: &str| {
        spec((8, 6), &format!("resize: {{mode: exact}}, filter: {filter}, layout: nhwc, dtype: u8"))
    };
    let linear = exact("bilinear_antialias");
    check_against_pillow(
        &pattern(40, 30),
        &linear,
        1,
        &[
            108, 16, 17, 140, 60, 49, 175, 145, 84, 192, 105, 119, 149, 137, 151, 82, 126, 156, 64,
            103, 139, 91, 135, 125, 173, 21, 29, 193, 65, 84, 164, 150, 144, 88, 110, 176, 61, 142,
            126, 89, 131, 103, 124, 108, 124, 156, 136, 138,
        ],
    );
    check_against_pillow(
        &pattern(5, 4),
        &linear,
        1,
        &[
            7, 1, 0, 10, 1, 0, 14, 2, 1, 19, 4, 1, 23, 7, 1, 28, 10, 2, 32, 14, 2, 35, 17, 2, 15,
            1, 0, 18, 1, 0, 22, 2, 1, 27, 4, 2, 31, 7, 3, 36, 10, 4, 40, 14, 5, 43, 17, 5,
        ],
    );
    check_against_pillow(
        &pattern(40, 30),
        &exact("bicubic_antialias"),
        1,
        &[
            105, 12, 15, 138, 56, 47, 183, 153, 83, 206, 106, 120, 153, 136, 161, 73, 122, 165, 53,
            104, 140, 89, 138, 128, 179, 17, 25, 207, 61, 83, 172, 158, 149, 79, 111, 191, 45, 141,
            124, 82, 127, 95, 125, 109, 125, 162, 140, 138,
        ],
    );
    let cropped = spec((6, 6), "resize: {mode: shorter_side, size: 8}, layout: nhwc, dtype: u8");
    check_against_pillow(
        &pattern(50, 31),
        &cropped,
        2,
        &[116, 170, 169, 57, 97, 185, 59, 152, 111, 86, 127, 84, 112, 125, 114, 139, 111, 151],
    );
}

#[test]
fn a_picture_of_the_right_size_is_not_touched() {
    let image = pattern(12, 12);
    for rest in [
        "resize: {mode: exact}",
        "resize: {mode: shorter_side, size: 12}",
        "resize: {mode: letterbox}",
        "resize: {mode: exact}, filter: bilinear_align_corners",
    ] {
        let spec = spec((12, 12), &format!("{rest}, layout: nhwc, dtype: u8"));
        assert_eq!(bytes(&image, &spec), image.pixels, "{rest}");
    }
}

#[test]
fn align_corners_lays_corners_on_corners_and_does_not_round() {
    let pixels = vec![0, 0, 0, 100, 10, 1];
    let image = DecodedImage::whole((2, 1), pixels, ImageFormat::Bmp);
    let rest = "resize: {mode: exact}, filter: bilinear_align_corners, scale: 1.0";
    let planes = [0., 25., 50., 75., 100., 0., 2.5, 5., 7.5, 10., 0., 0.25, 0.5, 0.75, 1.];
    assert_eq!(floats(&image, &spec((5, 1), rest)), planes);
    let shrunk = floats(&pattern(41, 31), &spec((3, 3), &format!("{rest}, layout: nhwc")));
    let source = pattern(41, 31);
    let at =
        |x: usize, y: usize| source.pixels[3 * (y * 41 + x)..][..3].iter().map(|v| f32::from(*v));
    let corners: Vec<f32> =
        [(0, 0), (20, 0), (40, 0), (0, 15), (20, 15), (40, 15), (0, 30), (20, 30), (40, 30)]
            .into_iter()
            .flat_map(|(x, y)| at(x, y))
            .collect();
    assert_eq!(shrunk, corners);
}

#[test]
fn a_letterbox_is_filled_beside_the_picture() {
    let image = DecodedImage::whole((4, 2), vec![200; 24], ImageFormat::Bmp);
    for filter in ["bilinear_antialias", "bilinear_align_corners"] {
        let rest = format!(
            "resize: {{mode: letterbox, fill: [1, 2, 3]}}, filter: {filter}, layout: nhwc, dtype: u8"
        );
        let found = bytes(&image, &spec((4, 4), &rest));
        let fill = [1, 2, 3].repeat(4);
        assert_eq!(found, [fill.clone(), vec![200; 24], fill].concat(), "{filter}");
    }
}

#[test]
fn channels_are_ordered_laid_out_and_normalised_as_asked() {
    let pixels = vec![10, 20, 30, 40, 50, 60];
    let image = DecodedImage::whole((2, 1), pixels, ImageFormat::Bmp);
    let found = |rest: &str| {
        let spec = spec((2, 1), &format!("resize: {{mode: exact}}, {rest}"));
        let tensor = preprocess(&image, &spec);
        assert_eq!(tensor.shape, shape_of(&spec));
        floats(&image, &spec)
    };
    assert_eq!(found("scale: 1.0"), [10., 40., 20., 50., 30., 60.]);
    assert_eq!(found("scale: 1.0, color: bgr"), [30., 60., 20., 50., 10., 40.]);
    assert_eq!(found("scale: 1.0, layout: nhwc, color: bgr"), [30., 20., 10., 60., 50., 40.]);
    assert_eq!(found("scale: 1.0, color: grey"), [18., 48.]);
    let normal = "scale: 0.1, mean: [1, 2, 3], std: [2, 4, 8]";
    assert_eq!(found(normal), [0., 1.5, 0., 0.75, 0., 0.375]);
    let corners = format!("{normal}, filter: bilinear_align_corners");
    assert_eq!(found(&corners), found(normal));
}

#[test]
fn pictures_of_every_proportion_are_taken() {
    for (width, height) in [(1, 1), (1, 3000), (3000, 1), (2, 2), (223, 225), (999, 7)] {
        for resize in ["{mode: exact}", "{mode: shorter_side, size: 256}", "{mode: letterbox}"] {
            for filter in ["bilinear_antialias", "bicubic_antialias", "bilinear_align_corners"] {
                let spec = spec((224, 224), &format!("resize: {resize}, filter: {filter}"));
                let tensor = preprocess(&pattern(width, height), &spec);
                assert_eq!(tensor.shape, [1, 3, 224, 224], "{width}x{height} {resize} {filter}");
            }
        }
    }
}
