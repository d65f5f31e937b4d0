use flota_core::{InputSpec, Manifest};

use super::*;
use crate::{DecodedImage, ImageFormat, TensorData};

/// The image of `tests/fixtures/make.py`, of which Pillow's values are.
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
        "{{format: 2, name: a, version: '1', weights: {{file: a.onnx}}, labels: [x], output: {{kind: scores}}, \
         input: {{width: {width}, height: {height}, {rest}}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap().input
}

fn bytes(image: &DecodedImage, spec: &InputSpec) -> Vec<u8> {
    match preprocess(image, spec).data {
        TensorData::U8(bytes) => bytes,
        _ => panic!("not bytes"),
    }
}

fn floats(image: &DecodedImage, spec: &InputSpec) -> Vec<f32> {
    match preprocess(image, spec).data {
        TensorData::F32(floats) => floats,
        _ => panic!("not floats"),
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
    let cropped = spec(
        (6, 6),
        "resize: {mode: shortest_edge, size: 8, rounding: format_1}, layout: nhwc, dtype: u8",
    );
    check_against_pillow(
        &pattern(50, 31),
        &cropped,
        2,
        &[116, 170, 169, 57, 97, 185, 59, 152, 111, 86, 127, 84, 112, 125, 114, 139, 111, 151],
    );
}

/// What `tests/fixtures/transforms/make.py` prints: of OpenCV without antialiasing, and of Pillow.
#[test]
fn other_interpolations_agree_with_those_who_have_them() {
    let check = |size: (u32, u32), words: &str, wanted: &[u8]| {
        let rest = format!("resize: {{mode: exact}}, {words}, layout: nhwc, dtype: u8");
        check_against_pillow(&pattern(size.0, size.1), &spec((8, 6), &rest), 1, wanted);
    };
    check(
        (43, 31),
        "antialias: false",
        &[
            109, 12, 16, 147, 65, 55, 185, 175, 94, 222, 87, 133, 64, 56, 172, 42, 84, 211, 79,
            169, 186, 117, 104, 33,
        ],
    );
    check(
        (5, 4),
        "antialias: false",
        &[7, 1, 0, 10, 1, 0, 14, 2, 1, 18, 4, 1, 23, 6, 1, 27, 9, 1, 31, 13, 2, 35, 17, 2],
    );
    check(
        (43, 31),
        "interpolation: bicubic, antialias: false",
        &[
            111, 12, 16, 148, 64, 55, 185, 174, 94, 223, 88, 134, 43, 42, 173, 42, 85, 222, 80,
            191, 193, 117, 94, 7,
        ],
    );
    check(
        (5, 4),
        "interpolation: bicubic, antialias: false",
        &[5, 0, 0, 8, 1, 0, 13, 2, 0, 17, 3, 1, 22, 6, 1, 26, 9, 1, 31, 14, 1, 34, 17, 2],
    );
    check(
        (43, 31),
        "interpolation: lanczos",
        &[
            104, 11, 16, 146, 68, 54, 204, 151, 90, 200, 110, 142, 116, 136, 177, 48, 112, 148, 67,
            109, 131, 114, 163, 138,
        ],
    );
    check(
        (43, 31),
        "interpolation: box",
        &[
            105, 13, 14, 144, 66, 53, 182, 178, 91, 204, 96, 130, 116, 124, 168, 48, 133, 172, 77,
            91, 131, 115, 175, 126,
        ],
    );
    check(
        (43, 31),
        "interpolation: hamming",
        &[
            111, 15, 17, 147, 67, 55, 185, 160, 94, 195, 101, 133, 114, 121, 166, 54, 115, 161, 79,
            112, 132, 115, 160, 117,
        ],
    );
}

#[test]
fn what_the_shortest_edge_leaves_free_is_black() {
    let image = DecodedImage::whole((4, 4), vec![200; 48], ImageFormat::Bmp);
    let rest = "resize: {shortest_edge: 3}, layout: nhwc, dtype: u8";
    let found = bytes(&image, &spec((4, 4), rest));
    let row = [vec![200; 9], vec![0; 3]].concat();
    assert_eq!(found, [row.repeat(3), vec![0; 12]].concat());
}

#[test]
fn a_picture_of_the_right_size_is_not_touched() {
    let image = pattern(12, 12);
    for rest in [
        "resize: {mode: exact}",
        "resize: {mode: shorter_side, size: 12}",
        "resize: {mode: letterbox}",
        "resize: {mode: exact}, filter: bilinear_align_corners",
        "resize: {mode: exact}, antialias: false",
        "resize: {mode: exact}, interpolation: bicubic, antialias: false",
        "resize: {mode: exact}, interpolation: lanczos",
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
            for words in [
                "interpolation: bilinear",
                "interpolation: bicubic",
                "interpolation: lanczos",
                "interpolation: box",
                "interpolation: hamming",
                "antialias: false",
                "interpolation: bicubic, antialias: false",
                "align_corners: true",
            ] {
                let spec = spec((224, 224), &format!("resize: {resize}, {words}"));
                let tensor = preprocess(&pattern(width, height), &spec);
                assert_eq!(tensor.shape, [1, 3, 224, 224], "{width}x{height} {resize} {words}");
            }
        }
    }
}
