//! Bilinear resizing with corners on corners, without antialiasing and without rounding.

use super::placement::Placement;
use crate::{DecodedImage, decode::RGB_BYTES};

/// Between which two lines of the image a line of the tensor lies, and how near the second.
struct Between {
    first: usize,
    second: usize,
    weight: f32,
}

/// The canvas of `placement` with `image` on it: three numbers of 0 to 255 a pixel.
pub(super) fn resample(image: &DecodedImage, placement: &Placement) -> Vec<f32> {
    let columns = lines(image.width, placement.scaled.0, placement.crop.0, placement.visible.0);
    let rows = lines(image.height, placement.scaled.1, placement.crop.1, placement.visible.1);
    let fill = placement.fill.map(f32::from);
    let (width, height) = (placement.canvas.0 as usize, placement.canvas.1 as usize);
    let mut canvas = if placement.is_covering() {
        vec![0.0; width * height * RGB_BYTES]
    } else {
        fill.repeat(width * height)
    };
    let stride = image.width as usize * RGB_BYTES;
    let left = placement.offset.0 as usize * RGB_BYTES;
    let targets = canvas.chunks_exact_mut(width * RGB_BYTES).skip(placement.offset.1 as usize);
    for (row, target) in rows.iter().zip(targets) {
        let upper = &image.pixels[row.first * stride..][..stride];
        let lower = &image.pixels[row.second * stride..][..stride];
        let (target, _) = target[left..].as_chunks_mut::<RGB_BYTES>();
        for (column, pixel) in columns.iter().zip(target) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |line: &[u8], x: usize| f32::from(line[x * RGB_BYTES + channel]);
                let above = mix(at(upper, column.first), at(upper, column.second), column.weight);
                let below = mix(at(lower, column.first), at(lower, column.second), column.weight);
                *value = mix(above, below, row.weight);
            }
        }
    }
    canvas
}

/// For `visible` lines from `crop` on: where they lie when `length` lines are spread over `scaled`
/// with the first and the last on each other.
fn lines(length: u32, scaled: u32, crop: u32, visible: u32) -> Vec<Between> {
    let step = match scaled {
        0 | 1 => 0.0,
        _ => f64::from(length - 1) / f64::from(scaled - 1),
    };
    let last = length as usize - 1;
    (crop..crop + visible)
        .map(|line| {
            let exact = f64::from(line) * step;
            let first = (exact as usize).min(last);
            let weight = (exact - first as f64) as f32;
            Between { first, second: (first + 1).min(last), weight }
        })
        .collect()
}

fn mix(a: f32, b: f32, weight: f32) -> f32 {
    a + (b - a) * weight
}
