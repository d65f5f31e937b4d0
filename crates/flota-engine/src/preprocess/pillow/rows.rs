//! What the passes read and make: rows of pixels of three bytes.

use super::weights::Weights;
use crate::decode::RGB_BYTES;

/// Rows of bytes, each `stride` behind the one before.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub pixels: &'a [u8],
    pub stride: usize,
}

impl<'a> Picture<'a> {
    /// From row `y` on to the end: what is read beyond a row is multiplied by zero.
    pub(super) fn rows_from(self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.stride..]
    }

    /// The part of the picture that the windows show, where each is one line.
    pub(super) fn part(self, columns: &Weights, rows: &Weights) -> Vec<u8> {
        let columns = columns.lines();
        let bytes = columns.start * RGB_BYTES..columns.end * RGB_BYTES;
        rows.lines().flat_map(|y| &self.rows_from(y)[bytes.clone()]).copied().collect()
    }
}

/// What a pass makes.
pub(super) struct Rows {
    pub bytes: Vec<u8>,
    pub stride: usize,
}

impl Rows {
    pub(super) fn picture(&self) -> Picture<'_> {
        Picture { pixels: &self.bytes, stride: self.stride }
    }

    /// The first `width` pixels of each row, with nothing between rows.
    pub(super) fn tight(mut self, width: usize) -> Vec<u8> {
        let row_bytes = width * RGB_BYTES;
        if self.stride != row_bytes {
            for row in 1..self.bytes.len() / self.stride {
                let begin = row * self.stride;
                self.bytes.copy_within(begin..begin + row_bytes, row * row_bytes);
            }
            self.bytes.truncate(self.bytes.len() / self.stride * row_bytes);
        }
        self.bytes
    }
}
