//! TIFF: what is refused by name, and what would take more work or memory than the limits allow.

use flota_core::{Code, Limits};

use super::{BASELINE, GREY, RGB, code, decoded, pixel, sentence};

const SHORT: u16 = 3;
const LONG: u16 = 4;
const UNDEFINED: u16 = 7;

/// A field: tag, type, and its values as they are stored.
type Field = (u16, u16, Vec<u8>);

fn longs(tag: u16, values: &[u32]) -> Field {
    (tag, LONG, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// A TIFF of `data`, which begin at byte 8, and of `fields`.
fn tiff(fields: &[Field], data: &[u8]) -> Vec<u8> {
    let mut fields = fields.to_vec();
    fields.sort();
    let mut body = data.to_vec();
    let mut entries = Vec::new();
    for (tag, kind, values) in fields {
        let value_bytes = [1, 1, 2, 4, 8, 1, 1][usize::from(kind) - 1];
        let count = (values.len() / value_bytes) as u32;
        entries.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        entries.extend(count.to_le_bytes());
        match values.len() {
            0..=4 => entries.extend([&values[..], &[0; 4][values.len()..]].concat()),
            _ => {
                entries.extend((8 + body.len() as u32).to_le_bytes());
                body.extend(values);
            }
        }
    }
    let directory = (8 + body.len() as u32).to_le_bytes();
    let count = (entries.len() as u16 / 12).to_le_bytes();
    [b"II*\0", &directory[..], &body, &count, &entries, &[0; 4]].concat()
}

/// Fields of an image of 48 by 32 pixels and `samples`, whose strips are JPEGs.
fn of_jpegs(samples: u32, photometric: u32, is_planar: bool, jpegs: &[&[u8]]) -> Vec<Field> {
    let mut at = 8;
    let mut offsets = Vec::new();
    for jpeg in jpegs {
        offsets.push(at);
        at += jpeg.len() as u32;
    }
    let lengths: Vec<u32> = jpegs.iter().map(|jpeg| jpeg.len() as u32).collect();
    vec![
        longs(256, &[48]),
        longs(257, &[32]),
        longs(258, &[8]),
        longs(259, &[7]),
        longs(262, &[photometric]),
        longs(273, &offsets),
        longs(277, &[samples]),
        longs(279, &lengths),
        longs(284, &[if is_planar { 2 } else { 1 }]),
    ]
}

#[test]
fn a_jpeg_inside_has_the_components_that_the_fields_say_or_is_refused() {
    let (rgb, ycc) = (2, 6);
    let file = |samples, photometric, is_planar, jpegs: &[&[u8]]| {
        tiff(&of_jpegs(samples, photometric, is_planar, jpegs), &jpegs.concat())
    };
    let grey = pixel(&decoded(GREY), 20, 15);
    let planes = decoded(&file(3, rgb, true, &[GREY, GREY, GREY]));
    assert_eq!(pixel(&planes, 20, 15), grey);
    assert_eq!(decoded(&file(3, rgb, false, &[RGB])).pixels, decoded(RGB).pixels);
    assert_eq!(decoded(&file(3, ycc, false, &[BASELINE])).pixels, decoded(BASELINE).pixels);
    let inside = "the TIFF has a JPEG inside of a kind that is not read";
    let planar = "the TIFF has YCbCr colours in planes of their own, which is not read";
    let neither = "the TIFF has a JPEG inside that is not grey, RGB or YCbCr, which is not read";
    for (file, expected) in [
        (file(3, ycc, true, &[GREY, GREY, GREY]), planar),
        (file(3, rgb, true, &[BASELINE, BASELINE, BASELINE]), inside),
        (file(3, rgb, false, &[GREY]), inside),
        (file(3, ycc, false, &[GREY]), inside),
        (file(1, 1, false, &[BASELINE]), inside),
        (file(4, 5, true, &[GREY, GREY, GREY, GREY]), neither),
    ] {
        assert_eq!(sentence(&file, &Limits::default()).0, expected);
        assert_eq!(code(&file), Code::DecodeUnsupported);
    }
}

/// The segments of the tables are of a JPEG file, too, and may say what its colours are.
#[test]
fn tables_that_chunks_share_say_nothing_of_their_colours() {
    let jfif = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9";
    let mut fields = of_jpegs(3, 2, false, &[RGB]);
    let plain = decoded(&tiff(&fields, RGB));
    fields.push((347, UNDEFINED, jfif.to_vec()));
    assert_eq!(decoded(&tiff(&fields, RGB)).pixels, plain.pixels);
}

/// Fields of a grey image of `size` whose chunks are `lengths` bytes, all from byte 8.
fn grey(size: (u32, u32), rows: u32, lengths: &[u32]) -> Vec<Field> {
    vec![
        longs(256, &[size.0]),
        longs(257, &[size.1]),
        longs(258, &[8]),
        longs(259, &[1]),
        longs(262, &[1]),
        longs(273, &vec![8; lengths.len()]),
        longs(278, &[rows]),
        longs(279, lengths),
    ]
}

#[test]
fn strips_that_overlap_far_beyond_the_file_are_too_large() {
    let data = vec![7; 1 << 20];
    for (length, is_read) in [(8, true), (16 * 1024, true), (1 << 20, false)] {
        let file = tiff(&grey((8, 1000), 1, &[length; 1000]), &data);
        if is_read {
            assert_eq!(decoded(&file).pixels, [7; 3 * 8 * 1000]);
        } else {
            assert_eq!(code(&file), Code::ImageTooLarge);
        }
        // The tables of a JPEG are read with each.
        let mut fields = grey((8, 1000), 1, &[8; 1000]);
        fields.retain(|(tag, ..)| *tag != 259);
        fields.extend([longs(259, &[7]), (347, UNDEFINED, vec![0; length as usize])]);
        let expected = if is_read { Code::DecodeCorrupt } else { Code::ImageTooLarge };
        assert_eq!(code(&tiff(&fields, &data)), expected, "tables of {length}");
    }
    let beyond = tiff(&grey((8, 2), 1, &[8, 1 << 30]), &data);
    assert_eq!(code(&beyond), Code::DecodeCorrupt);
}

/// Each ends where the next begins.
#[test]
fn strips_without_a_length_are_read() {
    let mut fields = grey((2, 2), 1, &[2, 2]);
    fields.retain(|(tag, ..)| ![273, 279].contains(tag));
    fields.push(longs(273, &[10, 8]));
    let file = tiff(&fields, &[1, 2, 3, 4]);
    assert_eq!(decoded(&file).pixels, [3, 3, 3, 4, 4, 4, 1, 1, 1, 2, 2, 2]);
    fields.retain(|(tag, ..)| *tag != 273);
    fields.push(longs(273, &[8, 1 << 30]));
    assert_eq!(code(&tiff(&fields, &[1, 2])), Code::DecodeCorrupt);
    let many = 1000;
    let mut fields = grey((8, many), 1, &[]);
    fields.retain(|(tag, ..)| ![273, 279].contains(tag));
    fields.push(longs(273, &(0..many).map(|n| 8 + 8 * n).collect::<Vec<_>>()));
    assert_eq!(decoded(&tiff(&fields, &vec![7; 1 << 20])).pixels, [7; 3 * 8 * 1000]);
}

#[test]
fn tiles_are_no_longer_than_a_picture_may_be_and_not_much_more_in_all() {
    let tiled = |size: (u32, u32), tile: (u32, u32), count: usize| {
        let mut fields = grey(size, 1, &[]);
        fields.retain(|(tag, ..)| ![273, 278, 279].contains(tag));
        fields.extend([longs(322, &[tile.0]), longs(323, &[tile.1])]);
        fields.extend([longs(324, &vec![8; count]), longs(325, &vec![4096; count])]);
        tiff(&fields, &[7; 4096])
    };
    let limits = Limits { max_dimension: 500, max_pixels: 500, ..Limits::default() };
    let read = |file: &[u8]| crate::decode(file, &limits).map_err(|error| error.to_string());
    assert_eq!(read(&tiled((3, 2), (16, 16), 1)).unwrap().pixels, [7; 18]);
    assert_eq!(
        read(&tiled((3, 2), (512, 2), 1)).unwrap_err(),
        "the TIFF has tiles of 512 x 2 pixels, and the limit is 500 a side"
    );
    assert_eq!(
        read(&tiled((3, 100), (16, 16), 7)).unwrap_err(),
        "the TIFF has tiles of 1792 pixels in all, and the limit is 1000"
    );
    // As many as there can be do not overflow.
    let (most, one) = (u32::MAX, (1, 1));
    assert_eq!(code(&tiled((most, most), one, 1)), Code::DecodeUnsupported);
}

#[test]
fn only_as_many_numbers_of_a_field_are_read_as_are_needed() {
    let mut fields = grey((2, 1), 1, &[2]);
    fields.retain(|(tag, ..)| *tag != 258);
    let mut bits: Vec<u8> = [8_u16; 16].iter().flat_map(|bits| bits.to_le_bytes()).collect();
    bits.extend([0xff; 64]);
    fields.push((258, SHORT, bits));
    assert_eq!(decoded(&tiff(&fields, &[7, 9])).pixels, [7, 7, 7, 9, 9, 9]);
}

#[test]
fn a_field_that_cannot_be_read_is_not_taken_for_absent() {
    let bits = (258, SHORT, [8_u16; 3].iter().flat_map(|bits| bits.to_le_bytes()).collect());
    let fields = [
        longs(256, &[2]),
        longs(257, &[1]),
        bits,
        longs(259, &[1]),
        longs(262, &[2]),
        longs(273, &[8]),
        longs(277, &[3]),
        longs(279, &[6]),
    ];
    let sound = tiff(&fields, &[200, 10, 20, 30, 40, 250]);
    assert_eq!(decoded(&sound).pixels, [200, 10, 20, 30, 40, 250]);

    let entry = sound.windows(4).rposition(|window| window == [2, 1, 3, 0]).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = sound.clone();
        file[entry + at..][..bytes.len()].copy_from_slice(bytes);
        file
    };
    let beyond = (sound.len() as u32 - 4).to_le_bytes();
    for file in [with(8, &beyond), with(2, &[12, 0]), with(2, &[99, 0]), with(4, &[0; 4])] {
        assert_eq!(code(&file), Code::DecodeCorrupt);
    }
}

/// libtiff passes over it with a warning, and its default may make another image.
#[test]
fn a_field_of_another_type_or_of_too_many_values_is_refused() {
    let short = |tag: u16, value: u16| (tag, SHORT, value.to_le_bytes().to_vec());
    let (bits, black_is_zero, upright) = (short(258, 8), short(262, 1), short(266, 1));
    let with = |field: Field| {
        let fields = [&grey((2, 1), 1, &[2])[..], std::slice::from_ref(&upright)].concat();
        let kept = fields.into_iter().filter(|(tag, ..)| *tag != field.0);
        tiff(&kept.chain([field.clone()]).collect::<Vec<_>>(), &[7, 9])
    };
    for (tag, kind, values) in [bits, black_is_zero, upright.clone()] {
        assert_eq!(decoded(&with((tag, kind, values.clone()))).pixels, [7, 7, 7, 9, 9, 9]);
        assert_eq!(decoded(&with((tag, 1, values[..1].to_vec()))).pixels, [7, 7, 7, 9, 9, 9]);
        assert_eq!(code(&with((tag, UNDEFINED, values[..1].to_vec()))), Code::DecodeCorrupt);
        assert_eq!(code(&with((tag, 6, values[..1].to_vec()))), Code::DecodeCorrupt, "signed");
        let twice = [&values[..], &values].concat();
        // Of bits there may be as many values as samples.
        if tag != 258 {
            assert_eq!(code(&with((tag, SHORT, twice))), Code::DecodeCorrupt, "two of {tag}");
        }
    }
}
