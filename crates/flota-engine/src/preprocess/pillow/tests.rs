use flota_core::{Filter, Sha256};

#[cfg(target_arch = "x86_64")]
use super::{avx2, portable, rows::Picture, weights::Weights};
use super::{resize, weights::Axis};
use crate::decode::RGB_BYTES;

/// Of `tests/fixtures/transforms/resizes.py`, which asks Pillow.
const RESIZES: &str = include_str!("../../../tests/fixtures/transforms/resizes.csv");

/// `picture` of `resizes.py`.
fn picture(kind: &str, width: u32, height: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        if kind == "smooth" {
            pixels.extend([x * 7 + y * 13, x * x + y, x * y].map(|value| (value % 256) as u8));
            continue;
        }
        for channel in 0..3 {
            let index = (y * width + x) * 3 + channel;
            let mixed = (index ^ (index >> 7)).wrapping_mul(2_654_435_761);
            let noise = (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519) >> 24;
            let is_light = noise > 127;
            pixels.push(if kind == "noise" { noise as u8 } else { u8::from(is_light) * 255 });
        }
    }
    pixels
}

fn filter(name: &str) -> Filter {
    match name {
        "bilinear" => Filter::BilinearAntialias,
        "bicubic" => Filter::BicubicAntialias,
        "lanczos" => Filter::LanczosAntialias,
        "box" => Filter::BoxAntialias,
        "hamming" => Filter::HammingAntialias,
        other => panic!("{other}"),
    }
}

#[test]
fn every_byte_is_pillows() {
    let mut count = 0;
    for line in RESIZES.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let numbers: Vec<u32> =
            fields[2..14].iter().map(|number| number.parse().unwrap()).collect();
        let [width, height, begin, end, upper, lower, wide, high, left, top, visible, visible_high] =
            numbers[..]
        else {
            panic!("{line}")
        };
        let eighths = |from: u32, to: u32| (f64::from(from) / 8.0, f64::from(to - from) / 8.0);
        let columns = Axis {
            line_count: width,
            covered: eighths(begin, end),
            scaled: wide,
            wanted: left..left + visible,
        };
        let rows = Axis {
            line_count: height,
            covered: eighths(upper, lower),
            scaled: high,
            wanted: top..top + visible_high,
        };
        let pixels = picture(fields[0], width, height);
        let found = resize(&pixels, &columns, &rows, filter(fields[1]));
        assert_eq!(found.len(), visible as usize * visible_high as usize * RGB_BYTES, "{line}");
        assert!(Sha256::of(&found).to_string().starts_with(fields[14]), "{line}");
        count += 1;
    }
    assert!(count > 400, "{count}");
}

#[test]
fn a_picture_of_the_right_size_is_cut_out() {
    let pixels = picture("noise", 9, 7);
    let axis = |count: u32, wanted: std::ops::Range<u32>| Axis {
        line_count: count,
        covered: (0.0, f64::from(count)),
        scaled: count,
        wanted,
    };
    for name in ["bilinear", "bicubic", "lanczos", "box", "hamming"] {
        let found = resize(&pixels, &axis(9, 2..7), &axis(7, 3..5), filter(name));
        let row = |y: usize| &pixels[(y * 9 + 2) * 3..][..15];
        assert_eq!(found, [row(3), row(4)].concat(), "{name}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_processor_makes_the_same_bytes() {
    let (width, height) = (61, 23);
    let pixels = picture("edges", width, height);
    let picture = Picture { pixels: &pixels, stride: width as usize * RGB_BYTES };
    let mut count = 0;
    for name in ["bilinear", "bicubic", "lanczos", "box", "hamming"] {
        for scaled in (1..150).step_by(4) {
            let axis = |line_count: u32| Axis {
                line_count,
                covered: (0.5, f64::from(line_count) - 0.75),
                scaled,
                wanted: scaled / 5..scaled,
            };
            let (columns, rows) = (axis(width), axis(height));
            let columns = Weights::of(&columns, filter(name));
            let rows = Weights::of(&rows, filter(name));
            let lines = 3..height as usize;
            let Some(found) = avx2::along_rows(picture, &lines, &columns) else { return };
            let expected = portable::along_rows(picture, &lines, &columns);
            assert_eq!(found.tight(columns.len()), expected.bytes, "{name} {scaled}");
            let found = avx2::along_columns(picture, 0, &rows).map(|rows| rows.bytes);
            assert_eq!(found, Some(portable::along_columns(picture, 0, &rows).bytes));
            count += 1;
        }
    }
    assert!(count > 150, "{count}");
}
