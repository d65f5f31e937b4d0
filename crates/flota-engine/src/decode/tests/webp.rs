//! WebP: flags that say what is not there, and what libwebp reads in another way than the decoder.

use flota_core::{Code, Limits};
use image::{Rgba, RgbaImage};

use super::{code, code_within, decoded, encoded, picture, sentence};

/// The size of the lossless images.
const SIZE: (u32, u32) = (8, 4);

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = vec![0; data.len() % 2];
    [&kind[..], &(data.len() as u32).to_le_bytes(), data, &padding].concat()
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"RIFF", &[b"WEBP".to_vec(), chunks.concat()].concat())
}

/// A lossless image, bit by bit.
#[derive(Default)]
struct Stream {
    bits: Vec<bool>,
}

impl Stream {
    fn put(&mut self, value: u32, bits: u32) {
        self.bits.extend((0..bits).map(|bit| value >> bit & 1 == 1));
    }

    /// A code of one symbol or two.
    fn code(&mut self, symbols: &[u32]) {
        self.put(1, 1);
        self.put(symbols.len() as u32 - 1, 1);
        self.put(1, 1);
        symbols.iter().for_each(|symbol| self.put(*symbol, 8));
    }

    /// Codes of one symbol for red, blue, alpha and distances.
    fn others(&mut self, red: u32) {
        [red, 0, 255, 0].iter().for_each(|symbol| self.code(&[*symbol]));
    }

    fn bytes(&self) -> Vec<u8> {
        let byte =
            |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        self.bits.chunks(8).map(byte).collect()
    }

    /// A file of it alone.
    fn file(&self) -> Vec<u8> {
        let header = (SIZE.0 - 1) | (SIZE.1 - 1) << 14;
        file(&[chunk(b"VP8L", &[&[0x2f], &header.to_le_bytes()[..], &self.bytes()].concat())])
    }

    /// As [`Stream::file`], as the opacity of a lossy image.
    fn opacity_file(&self) -> Vec<u8> {
        // 8 x 4 pixels of one colour, by libwebp.
        let lossy = include_bytes!("../../../tests/fixtures/lossy.webp");
        let vp8x = [0x10, 0, 0, 0, SIZE.0 as u8 - 1, 0, 0, SIZE.1 as u8 - 1, 0, 0];
        let opacity = [&[1], &self.bytes()[..]].concat();
        file(&[chunk(b"VP8X", &vp8x), chunk(b"ALPH", &opacity), lossy[12..].to_vec()])
    }
}

/// An image with one way to predict pixels, all of them of one colour.
fn predicted(predictor: u32) -> Stream {
    let mut stream = Stream::default();
    // A transform, its number, the size of its blocks, no cache.
    [(1, 1), (0, 2), (7, 3), (0, 1)].iter().for_each(|(value, bits)| stream.put(*value, *bits));
    stream.code(&[predictor]);
    stream.others(0);
    // No other transform, no cache, one group of codes.
    stream.put(0, 3);
    stream.code(&[9]);
    stream.others(0);
    stream
}

/// libwebp takes the lower four bits of the number, of which it knows sixteen; the decoder takes eight, and leaves
/// the pixels of other numbers than fourteen as they are.
#[test]
fn predictors_that_there_are_not_are_refused_by_name() {
    for predictor in 0..=13 {
        decoded(&predicted(predictor).file());
        decoded(&predicted(predictor).opacity_file());
    }
    for predictor in [14, 15, 16, 17, 33, 255] {
        for file in [predicted(predictor).file(), predicted(predictor).opacity_file()] {
            let what = "the WebP has a predictor of an unknown number, which is not read";
            assert_eq!(sentence(&file, &Limits::default()).0, what, "{predictor}");
            assert_eq!(code(&file), Code::DecodeUnsupported);
        }
    }
}

/// libwebp gives the shorter code to the lower symbol and takes two that are equal for one.
#[test]
fn codes_of_two_symbols_are_in_their_order_or_refused_by_name() {
    let file = |symbols: [u32; 2]| {
        let mut stream = Stream::default();
        stream.put(0, 3);
        stream.code(&symbols);
        stream.others(0);
        stream.put(0xa5a5_a5a5, 32);
        stream.file()
    };
    let image = decoded(&file([3, 200]));
    let greens: Vec<u8> = image.pixels.iter().skip(1).step_by(3).take(8).copied().collect();
    assert_eq!(greens, [200, 3, 200, 3, 3, 200, 3, 200]);
    for symbols in [[200, 3], [9, 9]] {
        let what =
            "the WebP has a code whose two symbols are not in their order, which is not read";
        assert_eq!(sentence(&file(symbols), &Limits::default()).0, what);
    }
}

/// libwebp puts black, which is there before any colour, into another place of the cache when it is read.
#[test]
fn colours_of_a_cache_are_put_there_before_or_refused_by_name() {
    let green = 11;
    // The place of a colour in a cache of two.
    let place = |red: u32| (0xff00_0b00 | red << 16).wrapping_mul(0x1e35_a7bd) >> 31;
    let file = |red: u32, symbols: u32| {
        let mut stream = Stream::default();
        // No transform, a cache of two colours, one group of codes.
        [(0, 1), (1, 1), (1, 4), (0, 1)].iter().for_each(|(value, bits)| stream.put(*value, *bits));
        // A code of two symbols of one bit: a green, and the second place of the cache. Runs of zeros, and ones.
        stream.put(0, 1);
        stream.put(0, 4);
        [0, 1, 0, 1].iter().for_each(|length| stream.put(*length, 3));
        stream.put(0, 1);
        for run in [Some(green), None, Some(138), Some(131), None] {
            stream.put(u32::from(run.is_some()), 1);
            run.into_iter().for_each(|run| stream.put(run - 11, 7));
        }
        stream.others(red);
        stream.put(symbols, 32);
        stream.file()
    };
    let [in_first, in_second] =
        [0, 1].map(|wanted| (0..256).find(|red| place(*red) == wanted).unwrap());
    assert_eq!(decoded(&file(in_second, 0xffff_fffe)).pixels[..3], [in_second as u8, 11, 0]);
    decoded(&file(in_first, 0));
    let unfilled = file(in_first, 0xffff_fffe);
    let what = "the WebP has a colour of the cache that was never put there, which is not read";
    assert_eq!(sentence(&unfilled, &Limits::default()).0, what);
}

/// Each group takes memory, even one that no block of the image has.
#[test]
fn more_groups_of_codes_than_memory_may_hold_are_too_large() {
    let file = |group: u32| {
        let mut stream = Stream::default();
        // No transform, no cache, groups of codes for blocks, without a cache.
        [(0, 1), (0, 1), (1, 1), (7, 3), (0, 1)]
            .iter()
            .for_each(|(value, bits)| stream.put(*value, *bits));
        stream.code(&[group & 255]);
        stream.others(group >> 8);
        for _ in 0..=group {
            stream.code(&[9]);
            stream.others(0);
        }
        stream.file()
    };
    decoded(&file(999));
    let limits = Limits { max_memory_bytes: 16 * 1024 * 1024, ..Limits::default() };
    assert_eq!(code_within(&file(999), &limits), Code::ImageTooLarge);
}

#[test]
fn flags_of_a_webp_announce_what_may_be_missing() {
    let transparent = RgbaImage::from_fn(40, 30, |x, y| {
        Rgba([(6 * x) as u8, (8 * y) as u8, 90, (6 * (x + y)) as u8])
    });
    let opaque = encoded(picture(), image::ImageFormat::WebP);
    let transparent = encoded(transparent, image::ImageFormat::WebP);
    for simple in [opaque, transparent] {
        let expected = decoded(&simple);
        for flags in [0x00, 0x04, 0x08, 0x10, 0x20, 0x3c] {
            let vp8x = chunk(b"VP8X", &[flags, 0, 0, 0, 39, 0, 0, 29, 0, 0]);
            let found = decoded(&file(&[vp8x, simple[12..].to_vec()]));
            assert_eq!(found.pixels, expected.pixels, "flags {flags:#x}");
            assert_eq!(found.flags, expected.flags, "flags {flags:#x}");
        }
    }
}

/// Opacity stands before a lossy image, and there where the flags announce it.
#[test]
fn opacity_counts_where_libwebp_looks_for_it() {
    let file_of = predicted(1).opacity_file();
    let alone = decoded(include_bytes!("../../../tests/fixtures/lossy.webp"));
    let [vp8x, rest] = [&file_of[12..30], &file_of[30..]];
    let opacity_bytes = 8 + rest[4] as usize + usize::from(rest[4] % 2);
    let (opacity, lossy) = rest.split_at(opacity_bytes);
    let unannounced = [&vp8x[..8], &[0], &vp8x[9..]].concat();
    let before = decoded(&file_of);
    assert_ne!(before.pixels, alone.pixels);
    let announced = |vp8x: &[u8], rest: &[&[u8]]| file(&[vp8x.to_vec(), rest.concat()]);
    for chunks in [&[opacity, lossy][..], &[lossy, opacity], &[lossy]] {
        assert_eq!(decoded(&announced(&unannounced, chunks)).pixels, alone.pixels);
    }
    assert_eq!(decoded(&announced(vp8x, &[lossy])).pixels, alone.pixels);
    let lossless = &predicted(1).file()[12..];
    for chunks in [&[lossy, opacity][..], &[opacity, opacity, lossy], &[opacity, lossless]] {
        assert_eq!(code(&announced(vp8x, chunks)), Code::DecodeCorrupt);
    }
}
