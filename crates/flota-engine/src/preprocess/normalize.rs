//! Colour order, layout and normalisation in one pass.

use flota_core::{ColorOrder, InputSpec, Layout};

use crate::decode::RGB_BYTES;

/// `(value * scale - mean) / std` per channel, as one multiplication and one addition.
pub(super) struct Normalizer<'a> {
    spec: &'a InputSpec,
    factors: [f32; RGB_BYTES],
    shifts: [f32; RGB_BYTES],
}

impl<'a> Normalizer<'a> {
    pub(super) fn of(spec: &'a InputSpec) -> Self {
        let of_channel = |values: &Option<Vec<f32>>, channel: usize, default: f32| {
            values.as_ref().and_then(|values| values.get(channel)).copied().unwrap_or(default)
        };
        let std = [0, 1, 2].map(|channel| of_channel(&spec.std, channel, 1.0));
        let mean = [0, 1, 2].map(|channel| of_channel(&spec.mean, channel, 0.0));
        Self {
            spec,
            factors: std.map(|std| spec.scale / std),
            shifts: [0, 1, 2].map(|channel| -mean[channel] / std[channel]),
        }
    }

    /// Of pixels in bytes, by a table per channel: there are only 256 values.
    pub(super) fn pixels(&self, pixels: &[u8]) -> Vec<f32> {
        let tables = [0, 1, 2].map(|channel| {
            let mut table = [0.0; 256];
            for (value, normal) in table.iter_mut().enumerate() {
                *normal = self.normal(value as f32, channel);
            }
            table
        });
        let (pixels, _) = pixels.as_chunks::<RGB_BYTES>();
        arrange(self.spec, pixels, luminance, |value: u8, channel| {
            tables[channel][usize::from(value)]
        })
    }

    /// Of pixels in floating-point numbers.
    pub(super) fn floats(&self, values: &[f32]) -> Vec<f32> {
        let (pixels, _) = values.as_chunks::<RGB_BYTES>();
        arrange(self.spec, pixels, luminance_of_floats, |value, channel| {
            self.normal(value, channel)
        })
    }

    fn normal(&self, value: f32, channel: usize) -> f32 {
        value * self.factors[channel] + self.shifts[channel]
    }
}

/// Pixels as they are, in the order and layout of `spec`.
pub(super) fn bytes(pixels: &[u8], spec: &InputSpec) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<RGB_BYTES>();
    arrange(spec, pixels, luminance, |value, _| value)
}

/// Puts the channels of `pixels` in the order and layout of `spec`, each through `convert`.
fn arrange<T: Copy, N>(
    spec: &InputSpec,
    pixels: &[[T; RGB_BYTES]],
    grey: impl Fn([T; RGB_BYTES]) -> T,
    convert: impl Fn(T, usize) -> N,
) -> Vec<N> {
    let order = match spec.color {
        ColorOrder::Grey => return pixels.iter().map(|pixel| convert(grey(*pixel), 0)).collect(),
        ColorOrder::Rgb => [0, 1, 2],
        ColorOrder::Bgr => [2, 1, 0],
    };
    let mut numbers = Vec::with_capacity(pixels.len() * RGB_BYTES);
    match spec.layout {
        Layout::Nhwc => {
            for pixel in pixels {
                numbers.extend([0, 1, 2].map(|channel| convert(pixel[order[channel]], channel)));
            }
        }
        Layout::Nchw => {
            for (channel, source) in order.into_iter().enumerate() {
                numbers.extend(pixels.iter().map(|pixel| convert(pixel[source], channel)));
            }
        }
    }
    numbers
}

/// ITU-R 601 in parts of 65,536, as Pillow computes `L`.
fn luminance([red, green, blue]: [u8; RGB_BYTES]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}

fn luminance_of_floats([red, green, blue]: [f32; RGB_BYTES]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}
