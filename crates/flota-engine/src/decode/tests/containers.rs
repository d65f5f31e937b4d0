//! What stands around pixels: EXIF, ends that are missing, what is refused by name.

use flota_core::{Code, Limits};
use image::{Rgb, RgbImage};

use super::{BASELINE, code_within, decoded, encoded, picture, pixel};
use crate::decode;

/// EXIF with one orientation of a type: 3 is SHORT, 4 is LONG.
fn exif(kind: u8, value: u8) -> Vec<u8> {
    let mut bytes = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01".to_vec();
    bytes.extend([kind, 0, 1, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn app1(payload: &[u8]) -> Vec<u8> {
    [&[0xff, 0xe1], &(payload.len() as u16 + 2).to_be_bytes()[..], payload].concat()
}

#[test]
fn the_first_of_several_exif_segments_says_how_a_jpeg_is_turned() {
    let size = |segments: &[Vec<u8>]| {
        let bytes = [&BASELINE[..2], &segments.concat(), &BASELINE[2..]].concat();
        let image = decoded(&bytes);
        (image.width, image.height)
    };
    let (stored, turned) = ((48, 32), (32, 48));
    assert_eq!(size(&[app1(&exif(3, 6)), app1(&exif(3, 1))]), turned);
    assert_eq!(size(&[app1(&exif(3, 1)), app1(&exif(3, 6))]), stored);
    assert_eq!(size(&[app1(&exif(4, 6))]), turned);
    assert_eq!(size(&[app1(b"http://ns.adobe.com/xap/1.0/\0"), app1(&exif(3, 8))]), turned);
    assert_eq!(size(&[app1(b"Exif\0\0junk"), app1(&exif(3, 6))]), stored);
}

#[test]
fn exif_of_webp_counts_where_the_flags_announce_it() {
    let simple = encoded(picture(), image::ImageFormat::WebP);
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let padding = vec![0; data.len() % 2];
        [&kind[..], &(data.len() as u32).to_le_bytes(), data, &padding].concat()
    };
    for (flags, prefix_bytes, size) in
        [(0x08, 0, (30, 40)), (0x08, 6, (30, 40)), (0x00, 0, (40, 30))]
    {
        let vp8x = chunk(b"VP8X", &[flags, 0, 0, 0, 39, 0, 0, 29, 0, 0]);
        let exif = chunk(b"EXIF", &exif(3, 6)[prefix_bytes..]);
        let body = [b"WEBP", &vp8x[..], &simple[12..], &exif].concat();
        let bytes = chunk(b"RIFF", &body);
        let image = decoded(&bytes);
        assert_eq!((image.width, image.height), size, "flags {flags}, from byte {prefix_bytes}");
    }
}

#[test]
fn a_png_that_lacks_its_last_chunk_alone_is_read() {
    let png = encoded(picture(), image::ImageFormat::Png);
    for missing in 1..=12 {
        assert_eq!(decoded(&png[..png.len() - missing]).pixels, *picture().as_raw());
    }
    for missing in 13..png.len() - 33 {
        let cut = &png[..png.len() - missing];
        let found = decode(cut, &Limits::default()).map_err(|error| error.code());
        assert_eq!(found, Err(Code::DecodeCorrupt), "{missing} bytes missing");
    }
    let apple = [&png[..8], b"\0\0\0\x04CgBI\x50\0\x20\x02\x2b\xd5\xb3\x7f", &png[8..]].concat();
    let error = decode(&apple, &Limits::default()).unwrap_err();
    assert_eq!(error.code(), Code::DecodeUnsupported);
    assert!(error.to_string().contains("CgBI"), "{error}");
}

/// A TIFF of one strip of bytes, with fields added.
fn tiff(fields: &[(u16, u32)], pixels: &[u8]) -> Vec<u8> {
    let mut all = fields.to_vec();
    all.extend([(273, 8), (279, pixels.len() as u32)]);
    all.sort_unstable();
    let mut bytes = b"II*\0".to_vec();
    bytes.extend((8 + pixels.len() as u32).to_le_bytes());
    bytes.extend(pixels);
    bytes.extend((all.len() as u16).to_le_bytes());
    for (tag, value) in all {
        bytes.extend([&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes
}

const GREY: [(u16, u32); 5] = [(256, 2), (257, 1), (258, 8), (262, 1), (277, 1)];

#[test]
fn a_tiff_is_read_as_libtiff_reads_it_or_refused_by_name() {
    let with = |fields: &[(u16, u32)], pixels: &[u8]| {
        let kept = GREY.iter().filter(|(tag, _)| fields.iter().all(|(other, _)| other != tag));
        let all: Vec<_> = kept.chain(fields).copied().collect();
        tiff(&all, pixels)
    };
    let row = |bytes: &[u8]| [0, 1].map(|x| pixel(&decoded(bytes), x, 0));
    assert_eq!(row(&with(&[], &[7, 9])), [[7; 3], [9; 3]]);
    assert_eq!(row(&with(&[(262, 0)], &[7, 9])), [[248; 3], [246; 3]]);
    assert_eq!(row(&with(&[(266, 2)], &[0x80, 0x01])), [[1; 3], [128; 3]]);
    assert_eq!(row(&with(&[(258, 4)], &[0x0f])), [[0; 3], [255; 3]]);
    assert_eq!(row(&with(&[(277, 2), (338, 1)], &[64, 128, 9, 0])), [[191; 3], [255; 3]]);
    assert_eq!(decoded(&with(&[(274, 6)], &[7, 9])).height, 2);
    let float = [0.5_f32, 1.0].map(f32::to_le_bytes).concat();
    assert_eq!(row(&with(&[(258, 32), (339, 3)], &float)), [[128; 3], [255; 3]]);
    let beyond = [0.5_f32, 200.0].map(f32::to_le_bytes).concat();
    for (bytes, name) in [
        (with(&[(258, 32), (339, 3)], &beyond), "floating point beyond 0 to 1"),
        (with(&[(258, 32)], &[0; 8]), "samples of 32 bits"),
        (with(&[(339, 2)], &[7, 9]), "samples with a sign"),
        (with(&[(259, 50_000)], &[7, 9]), "Zstandard data"),
        (with(&[(262, 8)], &[7, 9]), "CIE L*a*b* colours"),
        (with(&[(50_706, 1)], &[7, 9]), "a camera's raw image (DNG)"),
    ] {
        let error = decode(&bytes, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), Code::DecodeUnsupported, "{name}");
        assert_eq!(error.to_string(), format!("the TIFF has {name}, which is not read"));
    }
}

#[test]
fn a_gap_before_the_pixels_of_a_bitmap_belongs_to_nobody() {
    let image = RgbImage::from_fn(4, 2, |x, y| Rgb([(x * 60) as u8, (y * 200) as u8, 9]));
    let mut bmp = encoded(image.clone(), image::ImageFormat::Bmp);
    let data_at = u32::from_le_bytes(bmp[10..14].try_into().unwrap());
    bmp[10..14].copy_from_slice(&(data_at + 5).to_le_bytes());
    bmp.splice(data_at as usize..data_at as usize, [0x55; 5]);
    assert_eq!(decoded(&bmp).pixels, *image.as_raw());

    let mut palette =
        b"BM\0\0\0\0\0\0\0\0\x42\0\0\0\x28\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x08\0".to_vec();
    palette.resize(46, 0);
    palette.extend([2, 0, 0, 0, 0, 0, 0, 0, 3, 2, 1, 0, 30, 20, 10, 0, 0xee, 0xee, 0xee, 0xee]);
    palette.extend([1, 0, 0, 0]);
    let image = decoded(&palette);
    assert_eq!([pixel(&image, 0, 0), pixel(&image, 1, 0)], [[10, 20, 30], [1, 2, 3]]);
}

/// Pillow reads no palette of such pixels, and without an offset they begin behind the header.
#[test]
fn colours_that_a_bmp_announces_beside_whole_pixels_do_not_move_them() {
    let mut bmp = encoded(picture(), image::ImageFormat::Bmp);
    assert_eq!(bmp[10], 14 + bmp[14], "the pixels are behind the header");
    bmp[10] = 0;
    bmp[46] = 16;
    assert_eq!(decoded(&bmp).pixels, *picture().as_raw());
}

#[test]
fn the_screen_of_a_gif_is_as_large_as_its_first_frame() {
    let sound = encoded(picture(), image::ImageFormat::Gif);
    let expected = decoded(&sound);
    for (width, height) in [(1_u16, 1_u16), (0, 0), (1, 500)] {
        let mut gif = sound.clone();
        gif[6..8].copy_from_slice(&width.to_le_bytes());
        gif[8..10].copy_from_slice(&height.to_le_bytes());
        let found = decoded(&gif);
        assert_eq!(found.width, expected.width);
        assert_eq!(found.height, expected.height.max(height.into()));
        assert!(found.pixels.starts_with(&expected.pixels));
    }
}

/// To enlarge the screen, the file is copied.
#[test]
fn the_memory_for_a_gif_with_a_larger_screen_holds_the_file_twice() {
    let sound = encoded(picture(), image::ImageFormat::Gif);
    let mut small = sound.clone();
    small[6..10].copy_from_slice(&[1, 0, 1, 0]);
    let within = |max_memory_bytes| Limits { max_memory_bytes, ..Limits::default() };
    let is_enough = |max_bytes: &u64| decode(&sound, &within(*max_bytes)).is_ok();
    let enough = (0..=1 << 20).find(is_enough).unwrap();
    assert_eq!(code_within(&small, &within(enough)), Code::ImageTooLarge);
    let copy_bytes = small.len() as u64;
    assert_eq!(code_within(&small, &within(enough + copy_bytes - 1)), Code::ImageTooLarge);
    assert!(decode(&small, &within(enough + copy_bytes)).is_ok());
}
