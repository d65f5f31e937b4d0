//! From stored samples to bytes.

use super::layout::{Layout, Photometric, Predictor, Sample};
use crate::DecodeError;

/// Undoes what was done to the rows of a chunk before they were compressed.
pub(super) fn undo_predictor(rows: &mut [u8], layout: &Layout<'_>, is_big_endian: bool) {
    let value_bytes = layout.sample.bits() / 8;
    let stride = layout.chunk_samples();
    for row in rows.chunks_exact_mut(layout.row_bytes()) {
        match layout.predictor {
            Predictor::None => return,
            Predictor::Horizontal => accumulate(row, value_bytes, stride, is_big_endian),
            Predictor::FloatingPoint => {
                accumulate(row, 1, stride, is_big_endian);
                // Rows have the highest bytes of all values first, then the next.
                let planes = row.to_vec();
                let count = row.len() / value_bytes;
                for (n, value) in row.chunks_exact_mut(value_bytes).enumerate() {
                    for (place, byte) in value.iter_mut().enumerate() {
                        let rank = if is_big_endian { place } else { value_bytes - 1 - place };
                        *byte = planes[rank * count + n];
                    }
                }
            }
        }
    }
}

/// Adds to each value the one that is `stride` values before it.
fn accumulate(row: &mut [u8], value_bytes: usize, stride: usize, is_big_endian: bool) {
    let step = stride * value_bytes;
    for at in (step..row.len().saturating_sub(value_bytes - 1)).step_by(value_bytes) {
        let mut carry = 0;
        for n in 0..value_bytes {
            let place = at + if is_big_endian { value_bytes - 1 - n } else { n };
            let sum = u16::from(row[place]) + u16::from(row[place - step]) + carry;
            row[place] = sum as u8;
            carry = sum >> 8;
        }
    }
}

/// Writes the samples of a row as bytes of 0 to 255 to `targets`; indexes of a palette stay as they
/// are.
///
/// # Errors
/// `Unsupported` for floating point beyond 0 to 1: what its black and white are, nothing says.
pub(super) fn unpack<'t>(
    row: &[u8],
    layout: &Layout<'_>,
    is_big_endian: bool,
    targets: impl Iterator<Item = &'t mut u8>,
) -> Result<(), DecodeError> {
    match layout.sample {
        Sample::Bits(8) => targets.zip(row).for_each(|(target, value)| *target = *value),
        Sample::Bits(16) => {
            for (target, value) in targets.zip(row.as_chunks::<2>().0) {
                let value = match is_big_endian {
                    true => u16::from_be_bytes(*value),
                    false => u16::from_le_bytes(*value),
                };
                *target = ((u32::from(value) + 128) / 257) as u8;
            }
        }
        Sample::Bits(bits) => {
            let bits = usize::from(bits);
            let highest = (1_u32 << bits) - 1;
            let is_index = matches!(layout.photometric, Photometric::Palette(_));
            for (n, target) in targets.take(row.len() * 8 / bits).enumerate() {
                let value = bits_at(row, n * bits, bits);
                let scaled = (value * 255 + highest / 2) / highest;
                *target = if is_index { value } else { scaled } as u8;
            }
        }
        Sample::Float(bits) => {
            let value_bytes = usize::from(bits) / 8;
            for (target, value) in targets.zip(row.chunks_exact(value_bytes)) {
                let value = float(value, is_big_endian);
                if !(0.0..=1.0).contains(&value) {
                    let what = "the TIFF has floating point beyond 0 to 1, which is not read";
                    return Err(DecodeError::unsupported(what));
                }
                *target = (value * 255.0).round() as u8;
            }
        }
    }
    Ok(())
}

/// The whole number of `bits` bits, 16 at most, that begins at a bit of the row.
fn bits_at(row: &[u8], at: usize, bits: usize) -> u32 {
    let byte = |n: usize| u32::from(row.get(at / 8 + n).copied().unwrap_or_default());
    let three = byte(0) << 16 | byte(1) << 8 | byte(2);
    three >> (24 - at % 8 - bits) & ((1 << bits) - 1)
}

fn float(value: &[u8], is_big_endian: bool) -> f64 {
    let shifted = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    let bits = match is_big_endian {
        true => value.iter().fold(0, shifted),
        false => value.iter().rev().fold(0, shifted),
    };
    if value.len() == 4 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits) }
}
