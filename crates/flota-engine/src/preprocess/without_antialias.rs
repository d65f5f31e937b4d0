//! Resizing by a fixed number of neighbours, centres on centres, rounded to bytes: what OpenCV and
//! PyTorch without antialiasing do.

use flota_core::Filter;

use super::{placement::Placement, resample::laid};
use crate::{DecodedImage, decode::RGB_BYTES};

/// Most neighbours of a line.
const MAX_TAPS: usize = 4;
/// The cubic of OpenCV and of PyTorch without antialiasing.
const CUBIC: f64 = -0.75;

/// The lines of the image of which a line of the result is made, each with its weight.
type Taps = [(usize, f32); MAX_TAPS];

/// The canvas of `placement` with `image` on it, as pixels of three bytes.
pub(super) fn resample(image: &DecodedImage, placement: &Placement, filter: Filter) -> Vec<u8> {
    let weights = if filter == Filter::Bicubic { cubic } else { linear };
    let columns =
        taps(image.width, placement.scaled.0, placement.crop.0, placement.visible.0, weights);
    let rows =
        taps(image.height, placement.scaled.1, placement.crop.1, placement.visible.1, weights);
    let stride = image.width as usize * RGB_BYTES;
    let mut visible = Vec::with_capacity(rows.len() * columns.len() * RGB_BYTES);
    let mut mixed = vec![0.0_f32; stride];
    for row in &rows {
        mixed.fill(0.0);
        for (line, weight) in row.iter().filter(|(_, weight)| *weight != 0.0) {
            let source = &image.pixels[line * stride..][..stride];
            for (sum, value) in mixed.iter_mut().zip(source) {
                *sum += weight * f32::from(*value);
            }
        }
        for column in &columns {
            for channel in 0..RGB_BYTES {
                let of = |&(x, weight): &(usize, f32)| weight * mixed[x * RGB_BYTES + channel];
                let sum: f32 = column.iter().map(of).sum();
                visible.push(sum.round_ties_even().clamp(0.0, 255.0) as u8);
            }
        }
    }
    laid(visible, placement)
}

/// For `visible` lines from `crop` on, of `length` that are resized to `scaled`: their neighbours. Beyond
/// the edge the last line is repeated.
fn taps(
    length: u32,
    scaled: u32,
    crop: u32,
    visible: u32,
    weights: fn(f64) -> [f64; MAX_TAPS],
) -> Vec<Taps> {
    let step = f64::from(length) / f64::from(scaled);
    let last = i64::from(length) - 1;
    (crop..crop + visible)
        .map(|line| {
            let centre = (f64::from(line) + 0.5) * step - 0.5;
            let first = centre.floor();
            let weights = weights(centre - first);
            std::array::from_fn(|tap| {
                let at = (first as i64 + tap as i64 - 1).clamp(0, last);
                (usize::try_from(at).unwrap_or_default(), weights[tap] as f32)
            })
        })
        .collect()
}

/// Of the neighbours at -1, 0, 1 and 2, where the centre is `share` behind 0.
fn linear(share: f64) -> [f64; MAX_TAPS] {
    [0.0, 1.0 - share, share, 0.0]
}

/// Keys' cubic convolution.
fn cubic(share: f64) -> [f64; MAX_TAPS] {
    let near = |x: f64| ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((CUBIC * x - 5.0 * CUBIC) * x + 8.0 * CUBIC) * x - 4.0 * CUBIC;
    [far(1.0 + share), near(share), near(1.0 - share), far(2.0 - share)]
}
