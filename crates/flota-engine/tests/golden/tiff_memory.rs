//! What reading a TIFF takes is what is counted before it is read, for chunks of every odd size.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use flota_core::{Code, Limits};
use flota_engine::decode;

use crate::memory;

/// What decoders of chunks and lists of fields take beside what is counted.
const SLACK_BYTES: u64 = 128 * 1024;
const GREY: &[u8] = include_bytes!("../fixtures/grey.jpg");

/// A TIFF of one chunk's bytes, which all of its chunks share.
#[derive(Debug, Clone)]
struct Made {
    size: (u32, u32),
    tile: (u32, u32),
    samples: u32,
    bits: u32,
    is_planar: bool,
    /// Tag and value of further fields.
    more: &'static [(u16, u32)],
    data: Data,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Data {
    Deflated,
    Plain,
    /// With so many bytes of junk behind it.
    Jpeg(usize),
}

impl Made {
    fn file(&self) -> Vec<u8> {
        let row_samples = self.tile.0 * if self.is_planar { 1 } else { self.samples };
        let chunk = vec![0; (row_samples * self.bits).div_ceil(8) as usize * self.tile.1 as usize];
        let (compression, data) = match self.data {
            Data::Plain => (1, chunk),
            Data::Deflated => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&chunk).unwrap();
                (8, encoder.finish().unwrap())
            }
            Data::Jpeg(junk_bytes) => (7, [GREY, &vec![0; junk_bytes]].concat()),
        };
        let across = self.size.0.div_ceil(self.tile.0) as usize;
        let down = self.size.1.div_ceil(self.tile.1) as usize;
        let planes = if self.is_planar { self.samples as usize } else { 1 };
        let count = across * down * planes;
        let places = (8 + data.len()) as u32;
        let mut body = data.clone();
        body.extend(vec![8_u32; count].iter().flat_map(|at| at.to_le_bytes()));
        body.extend(vec![data.len() as u32; count].iter().flat_map(|length| length.to_le_bytes()));
        let listed = |at: u32, inline: u32| if count == 1 { inline } else { at };
        let mut fields = vec![
            (256, 1, self.size.0),
            (257, 1, self.size.1),
            (258, 1, self.bits),
            (259, 1, compression),
            (262, 1, 1),
            (277, 1, self.samples),
            (284, 1, if self.is_planar { 2 } else { 1 }),
            (322, 1, self.tile.0),
            (323, 1, self.tile.1),
            (324, count, listed(places, 8)),
            (325, count, listed(places + 4 * count as u32, data.len() as u32)),
        ];
        fields.retain(|(tag, ..)| self.more.iter().all(|(other, _)| other != tag));
        fields.extend(self.more.iter().map(|(tag, value)| (*tag, 1, *value)));
        fields.sort_unstable();
        let mut file = b"II*\0".to_vec();
        file.extend((8 + body.len() as u32).to_le_bytes());
        file.extend(body);
        file.extend((fields.len() as u16).to_le_bytes());
        for (tag, count, value) in fields {
            file.extend([tag.to_le_bytes(), 4_u16.to_le_bytes()].concat());
            file.extend([(count as u32).to_le_bytes(), value.to_le_bytes()].concat());
        }
        file.extend([0; 4]);
        file
    }
}

/// Decodes it within what it took, less the slack: it has to be refused before it is read.
#[track_caller]
fn check(made: &Made) {
    let file = made.file();
    let (read, peak_bytes) = memory::peak_bytes(|| decode(&file, &Limits::default()));
    if let Err(error) = &read {
        // More bytes in tiles than the limits allow, whatever memory there is.
        assert_eq!(error.code(), Code::ImageTooLarge, "{made:?}: {error}");
        assert!((peak_bytes as u64) < SLACK_BYTES, "{made:?}: {peak_bytes}");
        return;
    }
    let limits = Limits {
        max_memory_bytes: (peak_bytes as u64).saturating_sub(SLACK_BYTES).max(1),
        ..Limits::default()
    };
    let (read, bytes) = memory::peak_bytes(|| decode(&file, &limits));
    let code = read.as_ref().err().map(flota_engine::DecodeError::code);
    assert_eq!(code, Some(Code::ImageTooLarge), "{made:?} takes {peak_bytes}: {read:?}");
    assert!((bytes as u64) < limits.max_memory_bytes + SLACK_BYTES, "{made:?}: {bytes}");
}

#[test]
fn what_a_tiff_takes_is_counted_before_it_is_read() {
    let plain = Made {
        size: (1, 1),
        tile: (16, 16),
        samples: 1,
        bits: 8,
        is_planar: false,
        more: &[],
        data: Data::Deflated,
    };
    for tile in [(19_999, 1), (1, 19_999), (19_999, 33), (640, 480)] {
        for size in [(1, 1), (tile.0, 1), (1, tile.1), (900, 700)] {
            for (samples, is_planar) in [(1, false), (16, false), (16, true)] {
                for bits in [1, 8, 16] {
                    let made = Made { size, tile, samples, is_planar, bits, ..plain.clone() };
                    check(&made);
                }
            }
            let floats: &[(u16, u32)] = &[(317, 3), (339, 3)];
            check(&Made { size, tile, bits: 64, more: floats, ..plain.clone() });
            let reversed: &[(u16, u32)] = &[(266, 2)];
            check(&Made { size, tile, data: Data::Plain, more: reversed, ..plain.clone() });
            let turned: &[(u16, u32)] = &[(274, 6)];
            check(&Made { size, tile, more: turned, ..plain.clone() });
        }
    }
    for junk_bytes in [0, 1_000_000] {
        let data = Data::Jpeg(junk_bytes);
        check(&Made { size: (48, 32), tile: (48, 32), data, ..plain.clone() });
        check(&Made { size: (480, 320), tile: (48, 32), data, ..plain.clone() });
    }
}

/// A byte of the file must not become eight in memory.
#[test]
fn fields_of_many_numbers_take_no_memory() {
    let value_count: u32 = 4_000_000;
    let mut file = b"II*\0".to_vec();
    file.extend((8 + value_count).to_le_bytes());
    file.extend(vec![1; value_count as usize]);
    let single = [256, 257, 259, 262, 277].map(|tag: u16| (tag, 1, 1));
    let many = [258, 273, 279, 320, 338, 339].map(|tag: u16| (tag, value_count, 8));
    let mut fields = [&single[..], &many[..]].concat();
    fields.sort();
    file.extend((fields.len() as u16).to_le_bytes());
    for (tag, count, value) in fields {
        file.extend([tag.to_le_bytes(), 1_u16.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), u32::to_le_bytes(value)].concat());
    }
    file.extend([0; 4]);
    let (read, bytes) = memory::peak_bytes(|| decode(&file, &Limits::default()));
    assert!(read.is_ok() && (bytes as u64) < SLACK_BYTES, "{bytes}: {read:?}");
}
