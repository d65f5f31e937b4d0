//! The two passes for every processor.

use std::ops::Range;

use super::{
    rows::{Picture, Rows},
    weights::{HALF, WEIGHT_BITS, Weights},
};
use crate::decode::RGB_BYTES;

/// Bytes of a row that are summed up at a time.
const CHUNK: usize = 16;

/// See `resize.rs`.
pub(super) fn along_rows(picture: Picture<'_>, lines: &Range<usize>, columns: &Weights) -> Rows {
    let stride = columns.len() * RGB_BYTES;
    let mut bytes = Vec::with_capacity(lines.len() * stride);
    for y in lines.clone() {
        let row = picture.rows_from(y);
        for (start, weights) in columns.windows() {
            let mut sums = [HALF; RGB_BYTES];
            let (window, _) = row[start * RGB_BYTES..].as_chunks::<RGB_BYTES>();
            for (pixel, weight) in window.iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(*value)));
                }
            }
            bytes.extend(sums.map(rounded));
        }
    }
    Rows { bytes, stride }
}

/// See `resize.rs`.
pub(super) fn along_columns(picture: Picture<'_>, first: usize, rows: &Weights) -> Rows {
    let stride = picture.stride;
    let mut bytes = vec![0; stride * rows.len()];
    for ((start, weights), target) in rows.windows().zip(bytes.chunks_exact_mut(stride)) {
        let window = picture.rows_from(start - first);
        for (at, bytes) in (0..stride).step_by(CHUNK).zip(target.chunks_mut(CHUNK)) {
            let mut sums = [HALF; CHUNK];
            for (row, weight) in window.chunks_exact(stride).zip(weights) {
                for (sum, value) in sums.iter_mut().zip(&row[at..at + bytes.len()]) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(*value)));
                }
            }
            for (byte, sum) in bytes.iter_mut().zip(sums) {
                *byte = rounded(sum);
            }
        }
    }
    Rows { bytes, stride }
}

fn rounded(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}
