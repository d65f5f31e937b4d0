//! How small libjpeg-turbo may make an image for an input.

#[cfg(feature = "turbojpeg")]
use flota_core::InputSpec;

#[cfg(feature = "turbojpeg")]
use crate::preprocess::scaled_size;

/// Parts of a side that a JPEG can be decoded to.
pub(crate) const EIGHTHS: u32 = 8;

/// The parts of a side that libjpeg-turbo has fast code for, the smallest first.
#[cfg(feature = "turbojpeg")]
const FAST_EIGHTHS: [u32; 3] = [1, 2, 4];

/// How large and how smooth libjpeg-turbo makes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegScaling {
    /// How many of eight pixels of a side are decoded.
    pub eighths: u32,
    /// Whether colour differences are repeated rather than interpolated.
    pub is_fast: bool,
}

#[cfg(feature = "turbojpeg")]
impl JpegScaling {
    /// What `input` asks of an image of `size`, upright.
    pub(super) fn of(size: (u32, u32), input: &InputSpec) -> Self {
        Self { eighths: eighths(size, input), is_fast: input.jpeg.fast_upsampling }
    }
}

/// How many of eight pixels of a side are enough for an image of `size`.
#[cfg(feature = "turbojpeg")]
fn eighths(size: (u32, u32), input: &InputSpec) -> u32 {
    // Four neighbours of the whole image are not those of a smaller one.
    if input.jpeg.min_scale == 0 || !input.filter.is_antialiased() {
        return EIGHTHS;
    }
    let scaled = scaled_size(size, input);
    let is_enough = |eighths: u32| {
        [(size.0, scaled.0), (size.1, scaled.1)].into_iter().all(|(side, scaled)| {
            let least = u64::from(scaled) * u64::from(input.jpeg.min_scale) * u64::from(EIGHTHS);
            u64::from(side) * u64::from(eighths) >= least
        })
    };
    FAST_EIGHTHS.into_iter().find(|eighths| is_enough(*eighths)).unwrap_or(EIGHTHS)
}
