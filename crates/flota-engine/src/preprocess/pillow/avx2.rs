//! The two passes for x86-64 processors with AVX2.
//!
//! A weight of 22 bits is split into its upper and its lower 15 bits, so that `vpmaddwd` multiplies two
//! neighbours with their weights at once and exactly; sums wrap, and their sum does not.

use std::{
    arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_castsi128_si256, _mm256_inserti128_si256,
        _mm256_madd_epi16, _mm256_packs_epi32, _mm256_packus_epi16, _mm256_set1_epi32,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srai_epi32,
        _mm256_unpackhi_epi8, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi8,
        _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    },
    ops::Range,
};

use bytemuck::must_cast;

use super::{
    rows::{Picture, Rows},
    weights::{HALF, WEIGHT_BITS, Weights},
};
use crate::decode::RGB_BYTES;

/// Rows that are resized side by side: one in each 32-bit part of a register.
const ROWS: usize = 8;
/// Bytes of a register.
const BYTES: usize = 32;
/// Bytes of half of a register.
const HALF_BYTES: usize = 16;
/// Bits of the lower part of a weight.
const LOW_BITS: i32 = 15;
/// Pixels that are turned at a time.
const BLOCK: usize = 4;
/// Most pixels of a row that are turned before they are summed up: 100 KB, so that they stay in a core's cache.
const TILE: usize = 2_048;
/// A byte that `vpshufb` makes zero.
const NONE: i8 = -1;

/// Red, green and blue of two neighbours in each of eight rows, 16 bits each.
type Pair = [__m256i; RGB_BYTES];
/// The upper and the lower parts of two weights, side by side as those of a [`Pair`].
type PairWeights = [i32; 2];

/// See `resize.rs`; `None` where the processor lacks AVX2.
#[expect(unsafe_code, reason = "the compiler cannot know which instructions the processor has")]
pub(super) fn along_rows(
    picture: Picture<'_>,
    lines: &Range<usize>,
    columns: &Weights,
) -> Option<Rows> {
    // SAFETY: the processor has AVX2, and that is all that the function asks for.
    is_x86_feature_detected!("avx2").then(|| unsafe { resize_rows(picture, lines, columns) })
}

/// See `resize.rs`; `None` where the processor lacks AVX2 or a row does not fill a register.
#[expect(unsafe_code, reason = "the compiler cannot know which instructions the processor has")]
pub(super) fn along_columns(picture: Picture<'_>, first: usize, rows: &Weights) -> Option<Rows> {
    let can_run = picture.stride >= BYTES && is_x86_feature_detected!("avx2");
    // SAFETY: the processor has AVX2, and that is all that the function asks for.
    can_run.then(|| unsafe { resize_columns(picture, first, rows) })
}

/// The windows of all columns, each of as many pairs, which begin at an even pixel.
struct Pairs {
    starts: Vec<usize>,
    weights: Vec<PairWeights>,
    count: usize,
}

impl Pairs {
    fn of(columns: &Weights) -> Self {
        let pair_count =
            |(start, weights): (usize, &[i32])| (start % 2 + weights.len()).div_ceil(2).max(1);
        let count = columns.windows().map(pair_count).max().unwrap_or(1);
        let mut pairs = Self { starts: Vec::new(), weights: Vec::new(), count };
        let mut padded = vec![0; 2 * count];
        for (start, weights) in columns.windows() {
            padded.fill(0);
            padded[start % 2..][..weights.len()].copy_from_slice(weights);
            pairs.starts.push(start - start % 2);
            pairs.weights.extend(padded.as_chunks().0.iter().copied().map(split));
        }
        pairs
    }

    /// The next windows that are turned together, and the pixels that they show.
    fn tile(&self, first: usize) -> (&[usize], Range<usize>) {
        let (mut origin, mut last) = (self.starts[first], self.starts[first]);
        let mut count = 0;
        for start in &self.starts[first..] {
            let (lower, upper) = (origin.min(*start), last.max(*start));
            if count > 0 && upper + 2 * self.count > lower + TILE {
                break;
            }
            (origin, last) = (lower, upper);
            count += 1;
        }
        (&self.starts[first..first + count], origin..last + 2 * self.count)
    }
}

/// `lower + (upper << 15)` is the weight.
fn split([first, second]: [i32; 2]) -> PairWeights {
    let both = |first: i32, second: i32| first & 0xffff | second << 16;
    let low = (1 << LOW_BITS) - 1;
    [both(first >> LOW_BITS, second >> LOW_BITS), both(first & low, second & low)]
}

#[target_feature(enable = "avx2")]
fn resize_rows(picture: Picture<'_>, lines: &Range<usize>, columns: &Weights) -> Rows {
    // A pixel is written with a byte beyond, which the next one overwrites.
    let stride = columns.len() * RGB_BYTES + 1;
    let mut bytes = vec![0; lines.len().next_multiple_of(ROWS) * stride];
    let pairs = Pairs::of(columns);
    let mut turned: Vec<Pair> = Vec::new();
    for (strip, targets) in bytes.chunks_exact_mut(ROWS * stride).enumerate() {
        let first = lines.start + strip * ROWS;
        // Where rows are lacking at the end, the last one is repeated, and nobody reads the result.
        let row = |n: usize| picture.rows_from((first + n).min(lines.end - 1));
        let length = row(ROWS - 1).len();
        let sources: [&[u8]; ROWS] = std::array::from_fn(|n| &row(n)[..length]);
        let mut column = 0;
        while column < pairs.starts.len() {
            let (starts, shown) = pairs.tile(column);
            turn(sources, shown.clone(), &mut turned);
            let weights = pairs.weights[column * pairs.count..].chunks_exact(pairs.count);
            for (n, (start, weights)) in starts.iter().zip(weights).enumerate() {
                let window = &turned[(start - shown.start) / 2..][..pairs.count];
                let pixels = sum_up(window, weights);
                let at = (column + n) * RGB_BYTES;
                for (target, pixel) in targets.chunks_exact_mut(stride).zip(pixels) {
                    target[at..at + pixel.len()].copy_from_slice(&pixel);
                }
            }
            column += starts.len();
        }
    }
    bytes.truncate(lines.len() * stride);
    Rows { bytes, stride }
}

/// A pixel of each of eight rows, with a byte that says nothing.
#[target_feature(enable = "avx2")]
#[inline]
fn sum_up(window: &[Pair], weights: &[PairWeights]) -> [[u8; 4]; ROWS] {
    let mut upper = [_mm256_setzero_si256(); RGB_BYTES];
    let mut lower = [_mm256_set1_epi32(HALF); RGB_BYTES];
    for (pair, [high, low]) in window.iter().zip(weights) {
        let (high, low) = (_mm256_set1_epi32(*high), _mm256_set1_epi32(*low));
        for channel in 0..RGB_BYTES {
            let products = _mm256_madd_epi16(pair[channel], high);
            upper[channel] = _mm256_add_epi32(upper[channel], products);
            let products = _mm256_madd_epi16(pair[channel], low);
            lower[channel] = _mm256_add_epi32(lower[channel], products);
        }
    }
    let [red, green, blue] =
        [level(upper[0], lower[0]), level(upper[1], lower[1]), level(upper[2], lower[2])];
    let words = _mm256_packs_epi32(red, green);
    let planes = _mm256_packus_epi16(words, _mm256_packs_epi32(blue, blue));
    let pixels = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
    must_cast(_mm256_shuffle_epi8(planes, in_both(pixels)))
}

/// The pixels `shown` of eight rows, so that rows lie side by side. All rows are as long; what lies beyond their
/// end is zero.
#[target_feature(enable = "avx2")]
fn turn(rows: [&[u8]; ROWS], shown: Range<usize>, turned: &mut Vec<Pair>) {
    const N: i8 = NONE;
    let planes = in_both([0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, N, N, N, N]);
    let first_two = in_both([0, N, 1, N, 4, N, 5, N, 8, N, 9, N, 12, N, 13, N]);
    let last_two = in_both([2, N, 3, N, 6, N, 7, N, 10, N, 11, N, 14, N, 15, N]);
    let length = rows[0].len();
    let [a, b, c, d, e, f, g, h] = rows;
    let (b, c, d) = (&b[..length], &c[..length], &d[..length]);
    let (e, f, g, h) = (&e[..length], &f[..length], &g[..length], &h[..length]);
    let blank = [_mm256_setzero_si256(); RGB_BYTES];
    turned.resize(shown.len().div_ceil(BLOCK) * BLOCK / 2, blank);
    let (targets, _) = turned.as_chunks_mut::<{ BLOCK / 2 }>();
    for (x, target) in shown.step_by(BLOCK).zip(targets) {
        let block = x * RGB_BYTES..x * RGB_BYTES + HALF_BYTES;
        let [ae, bf, cg, dh] = if block.end <= length {
            [
                both(&a[block.clone()], &e[block.clone()]),
                both(&b[block.clone()], &f[block.clone()]),
                both(&c[block.clone()], &g[block.clone()]),
                both(&d[block.clone()], &h[block]),
            ]
        } else {
            let ends = ends(rows, block.start);
            [0, 1, 2, 3].map(|n| must_cast([ends[n], ends[n + 4]]))
        };
        let (ae, bf) = (_mm256_shuffle_epi8(ae, planes), _mm256_shuffle_epi8(bf, planes));
        let (cg, dh) = (_mm256_shuffle_epi8(cg, planes), _mm256_shuffle_epi8(dh, planes));
        let red_green = (_mm256_unpacklo_epi32(ae, bf), _mm256_unpacklo_epi32(cg, dh));
        let blue = (_mm256_unpackhi_epi32(ae, bf), _mm256_unpackhi_epi32(cg, dh));
        let red = _mm256_unpacklo_epi64(red_green.0, red_green.1);
        let green = _mm256_unpackhi_epi64(red_green.0, red_green.1);
        let blue = _mm256_unpacklo_epi64(blue.0, blue.1);
        target[0] = [
            _mm256_shuffle_epi8(red, first_two),
            _mm256_shuffle_epi8(green, first_two),
            _mm256_shuffle_epi8(blue, first_two),
        ];
        target[1] = [
            _mm256_shuffle_epi8(red, last_two),
            _mm256_shuffle_epi8(green, last_two),
            _mm256_shuffle_epi8(blue, last_two),
        ];
    }
}

/// The bytes from `at` on where rows end.
#[cold]
#[inline(never)]
fn ends(rows: [&[u8]; ROWS], at: usize) -> [[u8; HALF_BYTES]; ROWS] {
    rows.map(|row| std::array::from_fn(|n| row.get(at + n).copied().unwrap_or(0)))
}

#[target_feature(enable = "avx2")]
fn resize_columns(picture: Picture<'_>, first: usize, rows: &Weights) -> Rows {
    let stride = picture.stride;
    let mut bytes = vec![0; stride * rows.len()];
    let mut pairs: Vec<(PairWeights, [&[u8]; 2])> = Vec::new();
    for ((start, weights), target) in rows.windows().zip(bytes.chunks_exact_mut(stride)) {
        let row = |n: usize| picture.rows_from(start - first + n);
        pairs.clear();
        let (twos, last) = weights.as_chunks();
        for (n, two) in twos.iter().enumerate() {
            pairs.push((split(*two), [row(2 * n), row(2 * n + 1)]));
        }
        for one in last {
            let last = row(weights.len() - 1);
            pairs.push((split([*one, 0]), [last, last]));
        }
        // The last register of a row reaches back into the one before.
        let last = stride - BYTES;
        for at in (0..last).step_by(BYTES).chain([last]) {
            target[at..at + BYTES].copy_from_slice(&sum_up_rows(&pairs, at));
        }
    }
    Rows { bytes, stride }
}

/// The bytes from `at` on of a row of the result.
#[target_feature(enable = "avx2")]
#[inline]
fn sum_up_rows(pairs: &[(PairWeights, [&[u8]; 2])], at: usize) -> [u8; BYTES] {
    let zero = _mm256_setzero_si256();
    let mut upper = [zero; 4];
    let mut lower = [_mm256_set1_epi32(HALF); 4];
    for ([high, low], [first, second]) in pairs {
        let (high, low) = (_mm256_set1_epi32(*high), _mm256_set1_epi32(*low));
        let (first, second) = (register(&first[at..]), register(&second[at..]));
        let near = _mm256_unpacklo_epi8(first, second);
        let far = _mm256_unpackhi_epi8(first, second);
        let quarters = [
            _mm256_unpacklo_epi8(near, zero),
            _mm256_unpackhi_epi8(near, zero),
            _mm256_unpacklo_epi8(far, zero),
            _mm256_unpackhi_epi8(far, zero),
        ];
        for n in 0..quarters.len() {
            upper[n] = _mm256_add_epi32(upper[n], _mm256_madd_epi16(quarters[n], high));
            lower[n] = _mm256_add_epi32(lower[n], _mm256_madd_epi16(quarters[n], low));
        }
    }
    let near = _mm256_packs_epi32(level(upper[0], lower[0]), level(upper[1], lower[1]));
    let far = _mm256_packs_epi32(level(upper[2], lower[2]), level(upper[3], lower[3]));
    must_cast(_mm256_packus_epi16(near, far))
}

/// The level that a sum stands for, before it is cut down to a byte.
#[target_feature(enable = "avx2")]
#[inline]
fn level(upper: __m256i, lower: __m256i) -> __m256i {
    let sum = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(upper), lower);
    _mm256_srai_epi32::<{ WEIGHT_BITS as i32 }>(sum)
}

/// The first 16 bytes of two rows.
#[target_feature(enable = "avx2")]
#[inline]
fn both(first: &[u8], second: &[u8]) -> __m256i {
    let half = |row: &[u8]| *row.first_chunk::<HALF_BYTES>().expect("the block lies in the row");
    let first = _mm256_castsi128_si256(must_cast(half(first)));
    _mm256_inserti128_si256::<1>(first, must_cast(half(second)))
}

/// The first 32 bytes of a row.
#[inline]
fn register(row: &[u8]) -> __m256i {
    must_cast(*row.first_chunk::<BYTES>().expect("registers lie in the row"))
}

/// The same bytes in both halves.
#[inline]
fn in_both(bytes: [i8; 16]) -> __m256i {
    must_cast([bytes; 2])
}
