mod colors;
mod containers;
mod scans;
mod tiff;
mod webp;

use std::io::Cursor;

use flota_core::{Code, Limits};
use image::{DynamicImage, ImageBuffer, Rgb, RgbImage};

use super::{DecodedImage, ImageFormat, decode, decode_for};

const BASELINE: &[u8] = include_bytes!("../../tests/fixtures/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/fixtures/progressive.jpg");
const RESTART: &[u8] = include_bytes!("../../tests/fixtures/restart.jpg");
const GREY: &[u8] = include_bytes!("../../tests/fixtures/grey.jpg");
const CMYK: &[u8] = include_bytes!("../../tests/fixtures/cmyk.jpg");
const YCCK: &[u8] = include_bytes!("../../tests/fixtures/ycck.jpg");
const RGB: &[u8] = include_bytes!("../../tests/fixtures/rgb.jpg");
const ADOBE: &[u8] = include_bytes!("../../tests/fixtures/adobe.jpg");
const JPEGS: [(&str, &[u8]); 8] = [
    ("rgb", RGB),
    ("adobe", ADOBE),
    ("baseline", BASELINE),
    ("progressive", PROGRESSIVE),
    ("restart", RESTART),
    ("grey", GREY),
    ("cmyk", CMYK),
    ("ycck", YCCK),
];
/// Bytes of the marker that a JPEG ends with.
const END_BYTES: usize = 2;

fn decoded(bytes: &[u8]) -> DecodedImage {
    decode(bytes, &Limits::default()).unwrap()
}

fn code(bytes: &[u8]) -> Code {
    code_within(bytes, &Limits::default())
}

fn code_within(bytes: &[u8], limits: &Limits) -> Code {
    match decode(bytes, limits) {
        Ok(image) => panic!("decoded as {image:?}"),
        Err(error) => error.code(),
    }
}

fn pixel(image: &DecodedImage, x: u32, y: u32) -> [u8; 3] {
    let at = 3 * (y * image.width + x) as usize;
    image.pixels[at..at + 3].try_into().unwrap()
}

fn picture() -> RgbImage {
    ImageBuffer::from_fn(40, 30, |x, y| Rgb([(6 * x) as u8, (8 * y) as u8, (x * y) as u8]))
}

fn encoded(image: impl Into<DynamicImage>, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn every_kind_of_jpeg_is_seen_as_pillow_sees_it() {
    let places = [(0, 0), (47, 0), (20, 15), (0, 31), (47, 31)];
    let rgb = [[0, 0, 0], [250, 2, 150], [107, 123, 112], [5, 253, 105], [255, 255, 255]];
    let exact = [[0, 0, 0], [255, 0, 150], [107, 123, 113], [0, 255, 101], [255, 255, 255]];
    let grey = [[0; 3], [93; 3], [117; 3], [162; 3], [255; 3]];
    let cmyk = [[0, 0, 0], [255, 0, 153], [107, 123, 114], [0, 255, 101], [255, 255, 254]];
    let ycck = [[255, 120, 255], [0, 0, 227], [168, 136, 157], [255, 255, 30], [0, 134, 0]];
    for ((name, bytes), wanted) in
        JPEGS.into_iter().zip([exact, exact, rgb, rgb, rgb, grey, cmyk, ycck])
    {
        let image = decoded(bytes);
        assert_eq!(
            (image.width, image.height, image.format),
            (48, 32, ImageFormat::Jpeg),
            "{name}"
        );
        for ((x, y), wanted) in places.into_iter().zip(wanted) {
            let found = pixel(&image, x, y);
            let distance = (0..3).map(|c| found[c].abs_diff(wanted[c])).max().unwrap();
            assert!(distance <= 6, "{name} at {x},{y}: {found:?}, Pillow says {wanted:?}");
        }
    }
}

#[test]
fn a_jpeg_is_refused_wherever_it_ends_early() {
    for (name, bytes) in JPEGS {
        for length in 3..bytes.len() - END_BYTES {
            assert_eq!(code(&bytes[..length]), Code::DecodeCorrupt, "{name} cut to {length}");
        }
    }
}

#[test]
fn a_jpeg_whose_end_marker_alone_is_missing_is_read() {
    for (name, bytes) in JPEGS {
        for missing in 1..=END_BYTES {
            let cut = &bytes[..bytes.len() - missing];
            assert_eq!(decoded(cut).pixels, decoded(bytes).pixels, "{name} without {missing}");
        }
        let garbage = [bytes, b"and what a camera left behind it"].concat();
        assert_eq!(decoded(&garbage).pixels, decoded(bytes).pixels, "{name}");
    }
}

#[test]
fn an_end_marker_put_behind_a_cut_deceives_nobody() {
    for (name, bytes) in JPEGS {
        let slack = bytes.len() / 20;
        for length in 3..bytes.len() - END_BYTES - slack {
            let ended = [&bytes[..length], &[0xff, 0xd9]].concat();
            let found = decode(&ended, &Limits::default()).map_err(|error| error.code());
            if name != "progressive" {
                assert_eq!(found, Err(Code::DecodeCorrupt), "{name} cut to {length}");
            }
        }
    }
}

#[test]
fn other_formats_are_read_and_refused_when_cut() {
    let picture = picture();
    for (format, wanted) in [
        (image::ImageFormat::Png, ImageFormat::Png),
        (image::ImageFormat::Bmp, ImageFormat::Bmp),
        (image::ImageFormat::Tiff, ImageFormat::Tiff),
        (image::ImageFormat::WebP, ImageFormat::WebP),
        (image::ImageFormat::Gif, ImageFormat::Gif),
    ] {
        let source: DynamicImage = match wanted {
            ImageFormat::Gif => DynamicImage::from(picture.clone()).into_rgba8().into(),
            _ => picture.clone().into(),
        };
        let bytes = encoded(source, format);
        let image = decoded(&bytes);
        assert_eq!((image.width, image.height, image.format), (40, 30, wanted));
        if wanted != ImageFormat::Gif {
            assert_eq!(image.pixels, *picture.as_raw(), "{wanted}");
        }
        for percent in [20, 50, 90] {
            let cut = &bytes[..bytes.len() * percent / 100];
            assert_eq!(code(cut), Code::DecodeCorrupt, "{wanted} cut to {percent} %");
        }
    }
}

#[test]
fn sixteen_bits_palettes_and_greys_become_eight_bits_of_rgb() {
    let deep = ImageBuffer::from_fn(2, 1, |x, _| {
        Rgb([if x == 0 { 0x12ff_u16 } else { 0xffff }, 0, 0x8080])
    });
    let image = decoded(&encoded(deep, image::ImageFormat::Png));
    assert_eq!([pixel(&image, 0, 0), pixel(&image, 1, 0)], [[0x13, 0, 0x80], [255, 0, 0x80]]);

    let grey = ImageBuffer::from_pixel(2, 1, image::Luma([77_u8]));
    assert_eq!(decoded(&encoded(grey, image::ImageFormat::Png)).pixels, [77; 6]);
}

#[test]
fn what_is_transparent_lies_over_white() {
    let clear =
        ImageBuffer::from_fn(3, 1, |x, _| image::Rgba([0_u8, 100, 255, [0, 128, 255][x as usize]]));
    for format in [image::ImageFormat::Png, image::ImageFormat::WebP, image::ImageFormat::Tiff] {
        let image = decoded(&encoded(clear.clone(), format));
        let pixels = [0, 1, 2].map(|x| pixel(&image, x, 0));
        assert_eq!(pixels, [[255, 255, 255], [127, 177, 255], [0, 100, 255]], "{format:?}");
    }
    let grey = ImageBuffer::from_pixel(1, 1, image::LumaA([0_u16, 0x8000]));
    assert_eq!(decoded(&encoded(grey, image::ImageFormat::Png)).pixels, [127; 3]);
}

/// `jpeg` with an EXIF segment that holds an orientation and nothing else.
fn oriented(jpeg: &[u8], value: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([value, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() + 2) as u16;
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), &exif, &jpeg[2..]].concat()
}

#[test]
fn exif_turns_the_picture_upright() {
    let turned = |value: u8| decoded(&oriented(BASELINE, value));
    let upright = decoded(BASELINE);
    for value in [0, 1, 9] {
        assert_eq!(turned(value).pixels, upright.pixels, "EXIF {value}");
    }
    let right = turned(6);
    assert_eq!((right.width, right.height), (32, 48));
    assert_eq!(pixel(&right, 31, 0), pixel(&upright, 0, 0));
    assert_eq!(pixel(&turned(2), 0, 0), pixel(&upright, 47, 0));
}

#[test]
fn what_is_no_image_has_its_own_code() {
    assert_eq!(code(b""), Code::ImageEmpty);
    let ico = encoded(picture(), image::ImageFormat::Png);
    for (name, bytes) in [
        ("text", &b"<!doctype html><title>404</title>"[..]),
        ("zeros", &[0; 64]),
        ("icon", &[0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0]),
        ("avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"),
        ("one byte of png", &ico[..1]),
    ] {
        assert_eq!(code(bytes), Code::DecodeUnsupported, "{name}");
    }
}

#[test]
fn what_is_too_large_by_its_header_is_refused_before_it_is_read() {
    let png = encoded(picture(), image::ImageFormat::Png);
    for limits in [
        Limits { max_bytes: png.len() as u64 - 1, ..Limits::default() },
        Limits { max_pixels: 40 * 30 - 1, ..Limits::default() },
        Limits { max_dimension: 39, ..Limits::default() },
        Limits { max_memory_bytes: 40 * 30 * 3 - 1, ..Limits::default() },
    ] {
        assert_eq!(code_within(&png, &limits), Code::ImageTooLarge, "{limits:?}");
    }
    let frame = BASELINE.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut bomb = BASELINE.to_vec();
    bomb[frame + 5..frame + 9].fill(0xff);
    assert_eq!(code(&bomb), Code::ImageTooLarge);
    let progressive = Limits { max_memory_bytes: 48 * 32 * 4, ..Limits::default() };
    assert_eq!(code_within(PROGRESSIVE, &progressive), Code::ImageTooLarge);
    assert!(decode(BASELINE, &Limits { max_memory_bytes: 48 * 32 * 4, ..progressive }).is_ok());
}

/// The sentence of an image that is refused, and whether the log has more to tell.
fn sentence(bytes: &[u8], limits: &Limits) -> (String, bool) {
    let error = decode(bytes, limits).unwrap_err();
    (error.to_string(), std::error::Error::source(&error).is_some())
}

#[test]
fn what_decoders_say_is_for_the_log_alone() {
    let png = encoded(picture(), image::ImageFormat::Png);
    let mut no_header = png.clone();
    no_header[12..16].copy_from_slice(b"\xf4\xa8\x81\xe1");
    let mut bad_scan = BASELINE.to_vec();
    let scan = bad_scan.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    bad_scan[scan + 20..scan + 60].fill(0xfe);
    let frame = bad_scan.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut deep = BASELINE.to_vec();
    deep[frame + 4] = 12;
    let mut arithmetic = BASELINE.to_vec();
    arithmetic[frame + 1] = 0xc9;
    for (bytes, wanted, has_cause) in [
        (&no_header[..], "the PNG ends early or is damaged", true),
        (&png[..png.len() / 2], "the PNG ends early or is damaged", true),
        (&bad_scan, "the JPEG ends early or is damaged", true),
        (&deep, "the JPEG has 12 bits a sample, and only 8 are read", false),
        (&arithmetic, "the JPEG is of a kind that is not read", true),
        (b"GIF89a", "the GIF ends early or is damaged", true),
        (
            &[0, 0, 1, 0, 1, 0],
            "this is an icon (ICO); only JPEG, PNG, GIF, WebP, BMP and TIFF images are read",
            false,
        ),
        (
            &[0; 9],
            "this is not an image of a known format; only JPEG, PNG, GIF, WebP, BMP and TIFF images \
             are read",
            false,
        ),
        (b"", "the image is empty", false),
    ] {
        let found = sentence(bytes, &Limits::default());
        assert_eq!(found, (wanted.to_owned(), has_cause));
    }
}

#[test]
fn what_is_too_large_is_told_with_its_limit() {
    let png = encoded(picture(), image::ImageFormat::Png);
    let size = png.len();
    let limits = Limits::default;
    for (limits, wanted) in [
        (
            Limits { max_bytes: 9, ..limits() },
            format!("the image has {size} bytes, and the limit is 9"),
        ),
        (
            Limits { max_pixels: 1_199, ..limits() },
            "the image has 40 x 30 pixels, and the limit is 1199".to_owned(),
        ),
        (
            Limits { max_dimension: 39, ..limits() },
            "the image has 40 x 30 pixels, and the limit is 39 a side".to_owned(),
        ),
        (
            // Its chunks are copied for the decoder.
            Limits { max_memory_bytes: 3_599, ..limits() },
            format!(
                "decoding the image takes {} bytes of memory, and the limit is 3599",
                3_600 + size + 12
            ),
        ),
    ] {
        assert_eq!(sentence(&png, &limits).0, wanted);
    }
}

/// A TIFF of 48 by 32 pixels, stored as `jpeg` in one strip.
fn tiff_of(jpeg: &[u8]) -> Vec<u8> {
    let tags: [(u16, u32); 8] = [
        (256, 48),
        (257, 32),
        (258, 8),
        (259, 7),
        (262, 1),
        (273, 8 + 2 + 8 * 12 + 4),
        (277, 1),
        (279, jpeg.len() as u32),
    ];
    let mut tiff = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, value) in tags {
        tiff.extend([&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat());
    }
    tiff.extend([0; 4]);
    tiff.extend(jpeg);
    tiff
}

#[test]
fn a_tiff_beyond_its_decoders_own_limit_is_too_large() {
    assert_eq!(decoded(&tiff_of(GREY)).format, ImageFormat::Tiff);
    let frame = GREY.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for side_at in [5, 7] {
        let mut large = GREY.to_vec();
        large[frame + side_at] = 0x7f;
        let error = decode(&tiff_of(&large), &Limits::default()).unwrap_err();
        assert_eq!(error.code(), Code::ImageTooLarge, "{error:?}");
        assert_eq!(error.to_string(), "decoding the TIFF takes more than the limits allow");
    }
}

#[cfg(feature = "turbojpeg")]
#[test]
fn a_smaller_decode_lies_where_the_whole_one_does_however_it_is_turned() {
    use crate::{TensorData, preprocess};

    let text = "{name: a, version: '1', weights: {file: a}, output: {kind: embedding}, \
        input: {width: 24, height: 16, dtype: u8, resize: {mode: exact}}}";
    let input = flota_core::Manifest::parse("model.yaml", text).unwrap().input;
    // Both sides are odd, and one more than what can be divided by eight.
    let wave = |x: u32, y: u32| (f64::from(x) / 23.0).sin() * (f64::from(y) / 17.0).cos();
    let drawn = RgbImage::from_fn(401, 337, |x, y| {
        let shade = (128.0 + 100.0 * wave(x, y)) as u8;
        Rgb([shade, (x / 2) as u8, (y / 2) as u8])
    });
    let (colours, grey) = (DynamicImage::from(drawn.clone()), DynamicImage::from(drawn).to_luma8());
    for image in [colours, grey.into()] {
        let jpeg = encoded(image, image::ImageFormat::Jpeg);
        for orientation in 1..=8 {
            let bytes = oriented(&jpeg, orientation);
            let whole = decoded(&bytes);
            let scaled = decode_for(&bytes, &Limits::default(), Some(&input)).unwrap();
            assert_eq!(scaled.original, (whole.width, whole.height));
            assert_eq!(whole.width > whole.height, orientation < 5, "it was turned");
            assert!(scaled.eighths < 8, "it is smaller");
            let tensors = [whole, scaled].map(|image| preprocess(&image, &input).data);
            let [TensorData::U8(whole), TensorData::U8(scaled)] = tensors else { panic!("bytes") };
            let farthest = whole.iter().zip(&scaled).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(farthest <= Some(4), "orientation {orientation}: {farthest:?} levels off");
        }
    }
}

#[cfg(feature = "turbojpeg")]
#[test]
fn a_smaller_decode_is_only_for_inputs_that_would_get_the_same_alone() {
    let input = |side: u32, jpeg: &str| {
        let text = format!(
            "{{name: a, version: '1', weights: {{file: a}}, output: {{kind: embedding}}, \
             input: {{width: {side}, height: {side}, resize: {{mode: exact}}, jpeg: {jpeg}}}}}"
        );
        flota_core::Manifest::parse("model.yaml", &text).unwrap().input
    };
    let drawn =
        RgbImage::from_fn(640, 640, |x, y| Rgb([(x / 3) as u8, (y / 3) as u8, (x ^ y) as u8]));
    let jpeg = encoded(drawn, image::ImageFormat::Jpeg);
    let inputs = [
        input(40, "{min_scale: 2}"),
        input(36, "{min_scale: 2}"),
        input(100, "{min_scale: 2}"),
        input(40, "{min_scale: 0}"),
        input(40, "{min_scale: 0, fast_upsampling: true}"),
        input(40, "{min_scale: 2, fast_upsampling: true}"),
    ];
    let images = inputs.each_ref().map(|input| decode_for(&jpeg, &Limits::default(), Some(input)));
    let images = images.map(Result::unwrap);
    assert_eq!(images.each_ref().map(|image| image.width), [80, 80, 320, 640, 640, 80]);
    for (image, made_for) in images.iter().zip(&inputs) {
        for (alone, input) in images.iter().zip(&inputs) {
            let is_same = image.scaling == alone.scaling;
            assert_eq!(image.suits(input), is_same, "{:?} {:?}", made_for.jpeg, input.jpeg);
            assert!(!is_same || image.pixels == alone.pixels);
        }
    }
    assert!(images[0].suits(&inputs[1]), "as large and as smooth");
    assert!(!images[2].suits(&inputs[0]), "larger than it would be alone");
    assert!(!images[3].suits(&inputs[4]), "smoother than it would be alone");
    let whole = decode(&jpeg, &Limits::default()).unwrap();
    assert!(whole.suits(&inputs[3]) && !whole.suits(&inputs[0]));
    let grey = encoded(picture(), image::ImageFormat::Png);
    assert!(inputs.iter().all(|input| decoded(&grey).suits(input)), "no JPEG");
}

/// A file may have any number of scans, and a decoder passes over the image for each.
#[test]
fn a_jpeg_of_more_scans_than_are_read_is_not_called_damaged() {
    let scan = PROGRESSIVE.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let length = 2 + PROGRESSIVE[scan + 2..]
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7))
        .unwrap();
    let (before, from_scan) = PROGRESSIVE.split_at(scan);
    let many = [before, &from_scan[..length].repeat(64), from_scan].concat();
    let (found, _) = sentence(&many, &Limits::default());
    assert_eq!(found, "the JPEG has more than 64 scans, which are not read");
    assert_eq!(code(&many), Code::DecodeUnsupported);
}

/// libjpeg leaves out other intervals then than a decoder that does not look at the numbers.
#[test]
fn restart_markers_out_of_order_are_refused() {
    let at = RESTART.windows(2).position(|window| window == [0xff, 0xd0]).unwrap();
    let mut file = RESTART.to_vec();
    file[at + 1] = 0xd7;
    assert_eq!(code(&file), Code::DecodeCorrupt);
}

/// ITU-T T.81, B.1.1.2: any number of them may stand before a marker.
#[test]
fn fill_bytes_before_the_end_marker_harm_nothing() {
    const SCANS: &[u8] = include_bytes!("../../tests/fixtures/jpeg/scan_each.jpg");
    for file in [SCANS, BASELINE, PROGRESSIVE] {
        let (image, end) = file.split_at(file.len() - END_BYTES);
        let filled = [image, &[0xff; 3], end].concat();
        assert_eq!(decoded(&filled).pixels, decoded(file).pixels);
    }
}

/// Some cameras write such.
#[test]
fn padding_before_the_end_marker_harms_nothing() {
    let (picture, end) = BASELINE.split_at(BASELINE.len() - END_BYTES);
    let padded = [picture, &[0; 7], end].concat();
    let image = decode_for(&padded, &Limits::default(), None).unwrap();
    let (found, wanted) = (pixel(&image, 20, 15), pixel(&decoded(BASELINE), 20, 15));
    // Where libjpeg-turbo has refused it, another decoder has read it.
    let is_near = found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 3);
    assert!(is_near, "{found:?}, wanted {wanted:?}");
    assert_eq!(
        code(&[&BASELINE[..BASELINE.len() / 2], &[0; 7], end].concat()),
        Code::DecodeCorrupt
    );
}
