//! What of a lossless WebP the decoder here reads in another way than libwebp, which browsers and Pillow have.
//!
//! Such files show people one picture and models another, so they are refused: predictors beyond those that there
//! are, codes whose two symbols are not in their order, and colours of a cache that were never put into it. The
//! rest of the file is read only as far as these are in it.

use flota_core::Limits;

use super::{
    DecodeError,
    decoded_image::check_memory,
    vp8l_bits::{Bits, Code},
    webp::{corrupt, unsupported},
};

/// Transforms, by their numbers.
const PREDICTOR: usize = 0;
const COLOR: usize = 1;
const SUBTRACT_GREEN: usize = 2;
const TRANSFORMS: usize = 4;
/// The last of the ways to predict a pixel.
const LAST_PREDICTOR: u32 = 13;
/// Symbols of a code of pixels that stand for a channel's value.
const LITERALS: usize = 256;
/// Symbols for the lengths of copies, behind those.
const LENGTHS: usize = 24;
/// Symbols for the distances of copies.
const DISTANCES: usize = 40;
/// Memory that the decoder takes for a group of codes.
const GROUP_BYTES: u64 = 24 * 1024;
/// Distances that stand for a place near by, in the order of their numbers from 1 on: to the left, or to the right
/// where it is negative, and up (RFC 9649, 5.2.2).
#[rustfmt::skip]
const NEAR: [(i64, i64); 120] = [
    (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2),
    (0, 3), (3, 0), (1, 3), (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0),
    (1, 4), (-1, 4), (4, 1), (-4, 1), (3, 3), (-3, 3), (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4),
    (-3, 4), (4, 3), (-4, 3), (5, 0), (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5), (-2, 5), (5, 2), (-5, 2),
    (4, 4), (-4, 4), (3, 5), (-3, 5), (5, 3), (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1),
    (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5), (-4, 5), (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3),
    (0, 7), (7, 0), (1, 7), (-1, 7), (5, 5), (-5, 5), (7, 1), (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4),
    (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7), (7, 3), (-7, 3), (5, 6), (-5, 6), (6, 5), (-6, 5),
    (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6), (-6, 6), (8, 3), (5, 7), (-5, 7),
    (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7), (-7, 7), (8, 6), (8, 7),
];

/// Checks `data`, an image of `size` behind its header. Takes four bytes of memory for each pixel at most, and less
/// than the decoder for the codes.
///
/// # Errors
/// `Corrupt` where they are damaged, `Unsupported` where the decoder would read another image than libwebp does, and
/// `TooLarge` for more codes than memory may hold.
pub(super) fn check(
    data: &[u8],
    (mut width, height): (u32, u32),
    limits: &Limits,
) -> Result<(), DecodeError> {
    let mut bits = Bits::new(data);
    let mut seen = [false; TRANSFORMS];
    while bits.flag()? {
        let transform = bits.number(2)?;
        if std::mem::replace(&mut seen[transform], true) {
            return Err(corrupt("a transform that is there twice"));
        }
        match transform {
            PREDICTOR | COLOR => {
                let block = 2 + bits.number(3)? as u32;
                let blocks = read_part(&mut bits, blocks((width, height), block))?;
                if transform == PREDICTOR && blocks.into_iter().any(|b| green(b) > LAST_PREDICTOR) {
                    return Err(unsupported("a predictor of an unknown number"));
                }
            }
            SUBTRACT_GREEN => {}
            _ => {
                let color_count = 1 + bits.number(8)? as u32;
                read_part(&mut bits, (color_count, 1))?;
                // Several indexes share a pixel of what is stored.
                let shared = match color_count {
                    0..=2 => 3,
                    3..=4 => 2,
                    5..=16 => 1,
                    _ => 0,
                };
                width = width.div_ceil(1 << shared);
            }
        }
    }
    let cache = Cache::read(&mut bits)?;
    let mut codes = Codes { block: 0, across: 1, groups: Vec::new(), of_blocks: Vec::new() };
    if bits.flag()? {
        codes.block = 2 + bits.number(3)? as u32;
        let size = blocks((width, height), codes.block);
        codes.across = size.0 as usize;
        let group = |pixel: u32| (pixel >> 8 & 0xffff) as u16;
        codes.of_blocks = read_part(&mut bits, size)?.into_iter().map(group).collect();
    }
    let last = codes.of_blocks.iter().copied().max().unwrap_or_default();
    check_memory((u64::from(last) + 1) * GROUP_BYTES, limits)?;
    for _ in 0..=last {
        codes.groups.push(Group::read(&mut bits, cache.as_ref())?);
    }
    // Without a cache the pixels themselves are read alike.
    if cache.is_some() {
        read_pixels(&mut bits, (width, height), cache, &codes)?;
    }
    Ok(())
}

/// Blocks of a side of 2 to the power of `block` in an image of `size`, across and down.
fn blocks((width, height): (u32, u32), block: u32) -> (u32, u32) {
    (width.div_ceil(1 << block), height.div_ceil(1 << block))
}

/// An image that another one needs.
fn read_part(bits: &mut Bits<'_>, size: (u32, u32)) -> Result<Vec<u32>, DecodeError> {
    let cache = Cache::read(bits)?;
    let groups = vec![Group::read(bits, cache.as_ref())?];
    read_pixels(bits, size, cache, &Codes { block: 0, across: 1, groups, of_blocks: Vec::new() })
}

/// The pixels of an image: alpha, red, green and blue from the highest byte on.
fn read_pixels(
    bits: &mut Bits<'_>,
    (width, height): (u32, u32),
    mut cache: Option<Cache>,
    codes: &Codes,
) -> Result<Vec<u32>, DecodeError> {
    let (width, count) = (width as usize, width as usize * height as usize);
    let mut pixels = Vec::with_capacity(count);
    while pixels.len() < count {
        let group = codes.at(pixels.len() % width, pixels.len() / width);
        let start = pixels.len();
        match group.green.symbol(bits)? {
            literal @ ..LITERALS => {
                let [red, blue, alpha] = &group.others;
                let (red, blue) = (red.symbol(bits)?, blue.symbol(bits)?);
                let alpha = alpha.symbol(bits)?;
                pixels.push((alpha << 24 | red << 16 | literal << 8 | blue) as u32);
            }
            length if length < LITERALS + LENGTHS => {
                let length = read_copied(bits, length - LITERALS)?;
                let distance = group.distance.symbol(bits)?;
                let distance = distance_of(read_copied(bits, distance)?, width);
                if distance > start || length > count - start {
                    return Err(corrupt("a copy from outside of the image"));
                }
                for at in start - distance..start - distance + length {
                    pixels.push(pixels[at]);
                }
            }
            place => {
                let cache = cache.as_ref().ok_or_else(|| corrupt("a colour without a cache"))?;
                pixels.push(cache.get(place - LITERALS - LENGTHS)?);
            }
        }
        if let Some(cache) = &mut cache {
            pixels[start..].iter().for_each(|color| cache.put(*color));
        }
    }
    Ok(pixels)
}

/// The number that a symbol of a length or a distance stands for, with the bits behind it.
fn read_copied(bits: &mut Bits<'_>, symbol: usize) -> Result<usize, DecodeError> {
    if symbol < 4 {
        return Ok(symbol + 1);
    }
    let extra = (symbol as u32 - 2) >> 1;
    Ok(((2 + (symbol & 1)) << extra) + bits.number(extra)? + 1)
}

/// How many pixels before another the one is that a number of a distance stands for.
fn distance_of(number: usize, width: usize) -> usize {
    match NEAR.get(number - 1) {
        Some((left, up)) => (left + up * width as i64).max(1) as usize,
        None => number - NEAR.len(),
    }
}

fn green(pixel: u32) -> u32 {
    pixel >> 8 & 0xff
}

/// The codes of an image: one group, or one for each of the numbers that its blocks have.
struct Codes {
    /// The side of a block, as a power of two; 0 without blocks.
    block: u32,
    /// Blocks side by side.
    across: usize,
    groups: Vec<Group>,
    of_blocks: Vec<u16>,
}

impl Codes {
    fn at(&self, x: usize, y: usize) -> &Group {
        let block = (y >> self.block) * self.across + (x >> self.block);
        let group = self.of_blocks.get(block).copied().unwrap_or_default();
        &self.groups[usize::from(group)]
    }
}

/// The codes of a pixel.
struct Group {
    /// Of green, of a copy's length, or of a place in the cache.
    green: Code,
    /// Of red, blue and alpha.
    others: [Code; 3],
    distance: Code,
}

impl Group {
    fn read(bits: &mut Bits<'_>, cache: Option<&Cache>) -> Result<Self, DecodeError> {
        let cached = cache.map_or(0, |cache| cache.colors.len());
        let green = Code::read(bits, LITERALS + LENGTHS + cached)?;
        let mut other = || Code::read(bits, LITERALS);
        let others = [other()?, other()?, other()?];
        Ok(Self { green, others, distance: Code::read(bits, DISTANCES)? })
    }
}

/// Colours that were there before, by their hashes.
struct Cache {
    colors: Vec<u32>,
    bits: u32,
}

impl Cache {
    fn read(bits: &mut Bits<'_>) -> Result<Option<Self>, DecodeError> {
        if !bits.flag()? {
            return Ok(None);
        }
        match bits.number(4)? as u32 {
            bits @ 1..=11 => Ok(Some(Self { colors: vec![0; 1 << bits], bits })),
            _ => Err(corrupt("a cache of a wrong size")),
        }
    }

    fn place(&self, color: u32) -> usize {
        (color.wrapping_mul(0x1e35_a7bd) >> (u32::BITS - self.bits)) as usize
    }

    fn put(&mut self, color: u32) {
        let place = self.place(color);
        self.colors[place] = color;
    }

    /// The colour at a place. libwebp puts it into the cache again, and the decoder here does not, which is the same
    /// for one that was put there before.
    fn get(&self, place: usize) -> Result<u32, DecodeError> {
        let color = self.colors[place];
        if self.colors[self.place(color)] != color {
            return Err(unsupported("a colour of the cache that was never put there"));
        }
        Ok(color)
    }
}
