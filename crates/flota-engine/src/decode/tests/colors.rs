//! What is told of colours, opacity and movement, and what a manifest may ask of them. What is right
//! is by Pillow 13 and LittleCMS (`tests/fixtures/profiles.py`).

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use flota_core::{ImageFlag, InputSpec, Limits, Manifest};
use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::{BASELINE, decoded, encoded, pixel};
use crate::{DecodedImage, decode_for};

const P3: &[u8] = include_bytes!("../../../tests/fixtures/p3.icc");
const SWAPPED: &[u8] = include_bytes!("../../../tests/fixtures/swapped.icc");
const GREY: &[u8] = include_bytes!("../../../tests/fixtures/grey.icc");
const CMYK: &[u8] = include_bytes!("../../../tests/fixtures/cmyk.jpg");
const STORED: [[u8; 3]; 3] = [[200, 100, 50], [30, 60, 220], [128, 128, 128]];
/// What LittleCMS makes of them.
const BY_P3: [[u8; 3]; 3] = [[216, 93, 24], [6, 58, 230], [129, 129, 129]];
const BY_SWAPPED: [[u8; 3]; 3] = [[46, 100, 201], [221, 57, 24], [129, 129, 129]];
const BY_GREY: [u8; 3] = [229, 96, 188];

fn input(rest: &str) -> InputSpec {
    let text = format!(
        "{{name: a, version: '1', weights: {{file: a}}, output: {{kind: embedding}}, \
         input: {{width: 8, height: 8, resize: {{mode: exact}}{rest}}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap().input
}

fn decoded_as(bytes: &[u8], rest: &str) -> DecodedImage {
    decode_for(bytes, &Limits::default(), Some(&input(rest))).unwrap()
}

fn flags(image: &DecodedImage) -> Vec<&'static str> {
    image.flags.iter().map(|flag| flag.as_str()).collect()
}

fn row(image: &DecodedImage) -> Vec<[u8; 3]> {
    (0..image.width).map(|x| pixel(image, x, 0)).collect()
}

/// A chunk of a PNG.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut checked = flate2::Crc::new();
    checked.update(kind);
    checked.update(data);
    let length = (data.len() as u32).to_be_bytes();
    [&length, &kind[..], data, &checked.sum().to_be_bytes()].concat()
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A PNG with chunks between its header and the rest.
fn png_with(png: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    const HEADER_BYTES: usize = 33;
    [&png[..HEADER_BYTES], &chunks.concat(), &png[HEADER_BYTES..]].concat()
}

fn iccp(icc: &[u8]) -> Vec<u8> {
    chunk(b"iCCP", &[b"x\0\0", &deflated(icc)[..]].concat())
}

fn stored() -> RgbImage {
    RgbImage::from_fn(3, 1, |x, _| Rgb(STORED[x as usize]))
}

fn png(image: impl Into<image::DynamicImage>) -> Vec<u8> {
    encoded(image, image::ImageFormat::Png)
}

fn check_near(found: &[[u8; 3]], expected: &[[u8; 3]], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let farthest = (0..3).map(|c| found[c].abs_diff(expected[c])).max();
        assert!(farthest <= Some(2), "{what}: {found:?}, LittleCMS says {expected:?}");
    }
}

#[test]
fn a_profile_is_flagged_by_what_it_changes_and_applied_where_that_is_asked() {
    let plain = png(stored());
    assert!(decoded(&plain).flags.is_empty());
    let profiles = [(P3, "color_profile", BY_P3), (SWAPPED, "color_shifted", BY_SWAPPED)];
    // A second time each, when their flags are remembered.
    for (icc, flag, by_profile) in profiles.into_iter().chain(profiles) {
        let bytes = png_with(&plain, &[iccp(icc)]);
        let ignored = decoded(&bytes);
        assert_eq!((row(&ignored), flags(&ignored)), (STORED.to_vec(), vec![flag]));
        let applied = decoded_as(&bytes, ", color_profile: apply");
        check_near(&row(&applied), &by_profile, flag);
        assert!(applied.flags.is_empty(), "the model saw what people see");
    }
    let grey = image::GrayImage::from_fn(3, 1, |x, _| image::Luma([STORED[x as usize][0]]));
    let bytes = png_with(&png(grey), &[iccp(GREY)]);
    assert_eq!(flags(&decoded(&bytes)), ["color_shifted"]);
    let applied = decoded_as(&bytes, ", color_profile: apply");
    check_near(&row(&applied), &BY_GREY.map(|value| [value; 3]), "grey");
}

#[test]
fn a_profile_that_says_nothing_new_or_cannot_be_read_is_ignored() {
    let plain = png(stored());
    let cut = &P3[..P3.len() / 2];
    for icc in [GREY, cut, b"", b"junk"] {
        let bytes = png_with(&plain, &[iccp(icc)]);
        for rest in ["", ", color_profile: apply"] {
            let image = decoded_as(&bytes, rest);
            assert_eq!((row(&image), flags(&image)), (STORED.to_vec(), vec![]));
        }
    }
    let srgb = moxcms::ColorProfile::new_srgb().encode().unwrap();
    assert!(decoded(&png_with(&plain, &[iccp(&srgb)])).flags.is_empty());
}

#[test]
fn gamma_and_primaries_of_a_png_are_a_profile_unless_another_says_more() {
    let plain = png(stored());
    let gamma = |value: u32| chunk(b"gAMA", &value.to_be_bytes());
    let srgb = || chunk(b"sRGB", &[0]);
    for (chunks, expected) in [
        (vec![gamma(45_455)], vec![]),
        (vec![gamma(55_556)], vec!["color_profile"]),
        (vec![gamma(2_000)], vec!["color_shifted"]),
        (vec![gamma(1_000_000)], vec!["color_shifted"]),
        (vec![gamma(0)], vec![]),
        (vec![srgb(), gamma(2_000)], vec![]),
        (vec![iccp(P3), gamma(2_000)], vec!["color_profile"]),
        // Display P3 by its number, and PQ, of images of a high dynamic range.
        (vec![chunk(b"cICP", &[12, 13, 0, 1])], vec!["color_profile"]),
        (vec![chunk(b"cICP", &[9, 16, 0, 1])], vec!["color_shifted"]),
    ] {
        let image = decoded(&png_with(&plain, &chunks));
        assert_eq!((row(&image), flags(&image)), (STORED.to_vec(), expected), "{chunks:?}");
    }
    // 1.8 in place of 2.2: LittleCMS has 210, 119, 65 for the first.
    let applied = decoded_as(&png_with(&plain, &[gamma(55_556)]), ", color_profile: apply");
    check_near(&row(&applied), &[[210, 119, 65], [40, 77, 227], [146, 146, 146]], "gamma");
    // Red and blue exchanged.
    let values: [u32; 8] = [31_270, 32_900, 15_000, 6_000, 30_000, 60_000, 64_000, 33_000];
    let primaries = chunk(b"cHRM", &values.map(u32::to_be_bytes).concat());
    assert_eq!(flags(&decoded(&png_with(&plain, &[primaries]))), ["color_shifted"]);
}

#[test]
fn a_profile_of_a_jpeg_comes_in_parts_in_any_order() {
    let (first, second) = P3.split_at(100);
    let part = |number: u8, count: u8, part: &[u8]| {
        let payload = [b"ICC_PROFILE\0", &[number, count][..], part].concat();
        let length = (payload.len() as u16 + 2).to_be_bytes();
        [&[0xff, 0xe2], &length[..], &payload].concat()
    };
    let with = |parts: &[Vec<u8>]| [&BASELINE[..2], &parts.concat(), &BASELINE[2..]].concat();
    let whole = with(&[part(2, 2, second), part(1, 2, first)]);
    assert_eq!(flags(&decoded(&whole)), ["color_profile"]);
    assert_eq!(decoded(&whole).pixels, decoded(BASELINE).pixels);
    let applied = decoded_as(&whole, ", color_profile: apply");
    assert!(applied.flags.is_empty());
    let converted = decoded_as(&png_with(&png(stored()), &[iccp(P3)]), ", color_profile: apply");
    assert_ne!(applied.pixels, decoded(BASELINE).pixels);
    check_near(&row(&converted), &BY_P3, "the same profile in a PNG");
    for parts in [vec![part(1, 2, first)], vec![part(1, 1, first)]] {
        assert!(decoded(&with(&parts)).flags.is_empty(), "a part of a profile is none");
    }
    assert_eq!(flags(&decoded(CMYK)), ["cmyk"]);
}

/// `convert("RGB")` of Pillow drops opacity and leaves colours as they are stored.
#[test]
fn opacity_is_dropped_where_that_is_asked() {
    let colors = [[10, 20, 30, 0], [200, 100, 50, 128], [1, 2, 3, 255]];
    let clear = RgbaImage::from_fn(3, 1, |x, _| Rgba(colors[x as usize]));
    let rgb = colors.map(|[r, g, b, _]| [r, g, b]).to_vec();
    for format in [image::ImageFormat::Png, image::ImageFormat::WebP, image::ImageFormat::Tiff] {
        let bytes = encoded(clear.clone(), format);
        let (white, dropped) = (decoded(&bytes), decoded_as(&bytes, ", alpha: drop"));
        assert_eq!(row(&white), [[255; 3], [227, 177, 152], [1, 2, 3]]);
        assert_eq!(row(&dropped), rgb);
        assert_eq!((flags(&white), flags(&dropped)), (vec!["transparent"], vec!["transparent"]));
    }
    let grey = image::GrayAlphaImage::from_pixel(3, 1, image::LumaA([77, 0]));
    assert_eq!(row(&decoded_as(&png(grey), ", alpha: drop")), [[77; 3]; 3]);
    let opaque = RgbaImage::from_pixel(3, 1, Rgba([9, 9, 9, 255]));
    assert!(decoded(&png(opaque)).flags.is_empty());
}

#[test]
fn an_image_suits_every_input_that_would_get_the_same() {
    let (plain, drop, apply) = (input(""), input(", alpha: drop"), input(", color_profile: apply"));
    let all = [&plain, &drop, &apply];
    let suited = |bytes: &[u8], first: &InputSpec| {
        let image = decode_for(bytes, &Limits::default(), Some(first)).unwrap();
        assert!(image.suits(first));
        all.map(|input| image.suits(input))
    };
    let opaque = png(stored());
    assert_eq!(suited(&opaque, &drop), [true; 3]);
    assert_eq!(suited(&png_with(&opaque, &[iccp(P3)]), &plain), [true, true, false]);
    let clear = png(RgbaImage::from_pixel(3, 1, Rgba([9, 9, 9, 7])));
    assert_eq!(suited(&clear, &plain), [true, false, true]);
    assert_eq!(suited(&clear, &drop), [false, true, false]);
    assert_eq!(suited(BASELINE, &apply), [true; 3]);
}

/// Text under the keyword of ImageMagick, with EXIF that turns the image by a quarter, or junk.
fn raw_profile(is_sound: bool) -> Vec<u8> {
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let digits: String = exif.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("\nexif\n{:8}\n{digits}\n", exif.len());
    let deflated = if is_sound { deflated(text.as_bytes()) } else { b"junk".to_vec() };
    chunk(b"zTXt", &[b"Raw profile type exif\0\0", &deflated[..]].concat())
}

/// Only one is inflated, however many there are.
#[test]
fn the_first_raw_profile_of_a_png_counts_whatever_it_says() {
    let plain = png(stored());
    let height = |chunks: &[Vec<u8>]| decoded(&png_with(&plain, chunks)).height;
    assert_eq!(height(&[raw_profile(true)]), 3);
    assert_eq!(height(&[raw_profile(true), raw_profile(false)]), 3);
    assert_eq!(height(&[raw_profile(false), raw_profile(true)]), 1);
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0";
    assert_eq!(height(&[raw_profile(true), chunk(b"eXIf", exif)]), 1, "the standard's own counts");
}

#[test]
fn what_moves_or_has_pages_is_flagged() {
    let frame = |grey: u8| image::Frame::new(RgbaImage::from_pixel(4, 4, Rgba([grey, 0, 0, 255])));
    for (count, expected) in [(1, vec![]), (2, vec!["animated"])] {
        let mut gif = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
        encoder.encode_frames((0..count).map(|n| frame(n * 50))).unwrap();
        drop(encoder);
        assert_eq!(flags(&decoded(&gif)), expected);
    }
    let plain = png(stored());
    let control = |count: u32| chunk(b"acTL", &[count.to_be_bytes(), [0; 4]].concat());
    let first_frame = chunk(b"fcTL", &[0; 26]);
    for (chunks, is_animated) in [
        (vec![control(2)], true),
        (vec![control(1), first_frame.clone()], false),
        (vec![control(1)], true),
        (vec![control(2), first_frame], true),
    ] {
        let image = decoded(&png_with(&plain, &chunks));
        assert_eq!(image.flags.contains(&ImageFlag::Animated), is_animated, "{chunks:?}");
    }
}
