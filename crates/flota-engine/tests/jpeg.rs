//! JPEG frames that few encoders write: read as Pillow reads them, or refused by name.
//!
//! The files are made by `fixtures/make.py`, which prints Pillow's pixels. Thousands more are made on
//! the spot by `differential/gate.py`.

use std::{fs, path::Path};

use flota_core::{Code, Limits};
use flota_engine::{DecodedImage, decode};

/// Places at which Pillow's pixels are known.
const PLACES: [(u32, u32); 5] = [(0, 0), (39, 0), (20, 15), (0, 28), (39, 28)];
/// Most by which decoders differ: by rounding, and by how they interpolate colour differences.
const TOLERANCE: u8 = 5;

const YCC: [[u8; 3]; 5] =
    [[0, 0, 0], [253, 1, 146], [130, 136, 134], [0, 254, 106], [254, 254, 254]];
const HALVED: [[u8; 3]; 5] =
    [[1, 0, 0], [251, 2, 144], [137, 132, 136], [7, 250, 110], [255, 253, 254]];
const READ: [(&str, [[u8; 3]; 5]); 9] = [
    ("scan_each", HALVED),
    ("scan_each_4x1", [[7, 0, 2], [247, 5, 143], [137, 132, 136], [7, 250, 110], [248, 255, 250]]),
    ("scans_0_12", [[1, 0, 0], [250, 3, 146], [131, 136, 132], [1, 252, 110], [251, 255, 252]]),
    ("fine_chroma", [[1, 1, 0], [251, 0, 144], [124, 130, 128], [0, 250, 102], [247, 247, 247]]),
    ("thirds", [[1, 0, 0], [250, 3, 144], [124, 140, 130], [1, 253, 106], [250, 255, 252]]),
    ("no_tables", HALVED),
    ("jfif_adobe0", YCC),
    ("jfif_named_rgb", YCC),
    ("cmyk_no_adobe", [[0, 1, 0], [255, 1, 148], [108, 112, 109], [0, 169, 71], [170, 169, 169]]),
];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg");
    fs::read(folder.join(format!("{name}.jpg"))).expect("make.py has made it")
}

fn pixel(image: &DecodedImage, (x, y): (u32, u32)) -> [u8; 3] {
    let at = 3 * (y * image.width + x) as usize;
    image.pixels[at..at + 3].try_into().expect("three bytes")
}

fn code(bytes: &[u8], limits: &Limits) -> Option<Code> {
    decode(bytes, limits).err().map(|error| error.code())
}

#[test]
fn frames_that_few_encoders_write_are_seen_as_pillow_sees_them() {
    for (name, wanted) in READ {
        let image = decode(&file(name), &Limits::default()).unwrap();
        assert_eq!((image.width, image.height), (40, 29), "{name}");
        let found = PLACES.map(|place| pixel(&image, place));
        let near = found.iter().flatten().zip(wanted.iter().flatten());
        let is_near = near.into_iter().all(|(a, b)| a.abs_diff(*b) <= TOLERANCE);
        assert!(is_near, "{name}: {found:?}, Pillow says {wanted:?}");
    }
}

#[test]
fn they_are_refused_wherever_they_end_early_but_for_the_end_marker() {
    for (name, _) in READ {
        let bytes = file(name);
        for length in 3..bytes.len() - 2 {
            let found = code(&bytes[..length], &Limits::default());
            assert_eq!(found, Some(Code::DecodeCorrupt), "{name} cut to {length}");
        }
        let whole = decode(&bytes, &Limits::default()).unwrap();
        let ended = decode(&bytes[..bytes.len() - 2], &Limits::default()).unwrap();
        assert_eq!(whole.pixels, ended.pixels, "{name}");
    }
}

#[test]
fn their_memory_is_counted_before_they_are_decoded() {
    // 40 x 29 pixels, and samples and coefficients of 48 x 32 with colour differences of a quarter.
    let needed = 40 * 29 * 3 + (48 * 32 + 2 * 24 * 16) * 3;
    let bytes = file("scan_each");
    let within = |max_memory_bytes| Limits { max_memory_bytes, ..Limits::default() };
    assert_eq!(code(&bytes, &within(needed)), Some(Code::ImageTooLarge));
    assert_eq!(code(&bytes, &within(needed + bytes.len() as u64 + 64)), None);
}

#[test]
fn sound_files_that_are_not_read_are_not_called_damaged() {
    let error = decode(&file("two_of_three"), &Limits::default()).unwrap_err();
    assert_eq!(error.code(), Code::DecodeUnsupported);
    assert!(error.to_string().contains("sampled 3x1, 2x1, 1x1"), "{error}");
    let found = code(&file("medium_alone"), &Limits::default());
    // libjpeg-turbo reads it.
    let wanted = if cfg!(feature = "turbojpeg") { None } else { Some(Code::DecodeUnsupported) };
    assert_eq!(found, wanted);
}
