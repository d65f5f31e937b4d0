//! The colours of four-component JPEG files.

use super::picture::RGB_BYTES;

/// How the four components of a pixel are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FourColors {
    /// Cyan, magenta, yellow, black: how much ink.
    Cmyk,
    /// The same upside down, as Adobe's programs write it: how little ink.
    InvertedCmyk,
    /// Upside down, and the first three as luminance and two colour differences.
    Ycck,
}

impl FourColors {
    /// What an Adobe segment's transform means; without such a segment it is plain ink.
    pub(super) fn of(adobe_transform: Option<u8>) -> Self {
        match adobe_transform {
            None => Self::Cmyk,
            Some(2) => Self::Ycck,
            Some(_) => Self::InvertedCmyk,
        }
    }

    /// Turns pixels of four bytes into pixels of red, green and blue, in place.
    pub(super) fn to_rgb(self, mut pixels: Vec<u8>) -> Vec<u8> {
        let pixel_count = pixels.len() / 4;
        for index in 0..pixel_count {
            let [a, b, c, k] = [0, 1, 2, 3].map(|channel| pixels[4 * index + channel]);
            let rgb = match self {
                Self::Cmyk => [a, b, c].map(|ink| product(255 - ink, 255 - k)),
                Self::InvertedCmyk => [a, b, c].map(|paper| product(paper, k)),
                Self::Ycck => ycc_to_rgb(a, b, c).map(|ink| product(255 - ink, k)),
            };
            pixels[RGB_BYTES * index..][..RGB_BYTES].copy_from_slice(&rgb);
        }
        pixels.truncate(RGB_BYTES * pixel_count);
        pixels
    }
}

/// The product of two parts of 255, rounded.
fn product(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b);
    ((product + 127) / 255) as u8
}

/// ITU-T T.871, 7.
fn ycc_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; RGB_BYTES] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
        .map(|value| value.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_becomes_light() {
        let red = [0, 255, 255, 0];
        assert_eq!(FourColors::Cmyk.to_rgb(red.to_vec()), [255, 0, 0]);
        assert_eq!(FourColors::InvertedCmyk.to_rgb(red.map(|v| 255 - v).to_vec()), [255, 0, 0]);
        assert_eq!(
            FourColors::Cmyk.to_rgb(vec![0, 0, 0, 255, 0, 0, 0, 0]),
            [0, 0, 0, 255, 255, 255]
        );
        assert_eq!(FourColors::Ycck.to_rgb(vec![0, 128, 128, 255]), [255, 255, 255]);
        assert_eq!(FourColors::Ycck.to_rgb(vec![0, 128, 128, 0]), [0, 0, 0]);
    }
}
