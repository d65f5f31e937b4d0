//! Run lengths of bitmaps.

use super::{
    DecodeError,
    bmp_header::{Header, corrupt},
};

/// Reads the indexes of an image from its top. What runs leave out has index 0, as in Pillow.
///
/// # Errors
/// If the data end before the end of the image is said or its last pixel is reached.
pub(super) fn read(header: &Header, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (width, height) = (header.width as usize, header.height as usize);
    let mut canvas = Canvas { indexes: vec![0; width * height], width, height, x: 0, y: 0 };
    let mut codes = data.iter().copied();
    let is_nibbles = header.bits == 4;
    let cut = || corrupt("the file ends within its runs");
    while canvas.y < height {
        let Some(count) = codes.next() else {
            // The end of the image need not be said where nothing is missing.
            let is_whole = canvas.y + 1 == height && canvas.x >= width;
            return if is_whole { Ok(canvas.upright(header)) } else { Err(cut()) };
        };
        let value = codes.next().ok_or_else(cut)?;
        match (count, value) {
            (0, 0) => canvas.next_row(),
            (0, 1) => break,
            (0, 2) => {
                canvas.x += usize::from(codes.next().ok_or_else(cut)?);
                canvas.y += usize::from(codes.next().ok_or_else(cut)?);
            }
            (0, count) => {
                let count = usize::from(count);
                let byte_count = if is_nibbles { count.div_ceil(2) } else { count };
                let literal: Vec<u8> = codes.by_ref().take(byte_count).collect();
                if literal.len() < byte_count {
                    return Err(cut());
                }
                for n in 0..count {
                    canvas.put(match is_nibbles {
                        true => nibble(literal[n / 2], n),
                        false => literal[n],
                    });
                }
                if byte_count % 2 == 1 {
                    codes.next();
                }
            }
            (count, value) => {
                for n in 0..usize::from(count) {
                    canvas.put(if is_nibbles { nibble(value, n) } else { value });
                }
            }
        }
    }
    Ok(canvas.upright(header))
}

fn nibble(byte: u8, index: usize) -> u8 {
    if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
}

/// What runs are drawn on, in the order of the file.
struct Canvas {
    indexes: Vec<u8>,
    width: usize,
    height: usize,
    x: usize,
    y: usize,
}

impl Canvas {
    /// Draws a pixel; what lies beyond the row is left out.
    fn put(&mut self, index: u8) {
        if self.x < self.width && self.y < self.height {
            self.indexes[self.y * self.width + self.x] = index;
        }
        self.x += 1;
    }

    fn next_row(&mut self) {
        self.x = 0;
        self.y += 1;
    }

    fn upright(mut self, header: &Header) -> Vec<u8> {
        if !header.is_from_top {
            let (top, bottom) = self.indexes.split_at_mut(self.height.div_ceil(2) * self.width);
            let upper = top.chunks_exact_mut(self.width);
            upper
                .zip(bottom.chunks_exact_mut(self.width).rev())
                .for_each(|(a, b)| a.swap_with_slice(b));
        }
        self.indexes
    }
}
