//! Which colours a JPEG's components are.

use super::decoded_image::RGB_BYTES;

/// The markers that say which colours the components of a JPEG are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ColorMarkers {
    /// Whether there is a JFIF segment.
    pub has_jfif: bool,
    /// The transform that the last Adobe segment names.
    pub adobe_transform: Option<u8>,
}

/// The colours of a JPEG's components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colors {
    /// Luminance alone.
    Grey,
    /// Luminance and two colour differences.
    Ycc,
    /// Red, green and blue.
    Rgb,
    /// Cyan, magenta, yellow and black, each as how little ink there is, as Adobe's programs write
    /// it. Browsers and Pillow read all such files this way, those without an Adobe segment too.
    Cmyk,
    /// As [`Colors::Cmyk`], with the first three as luminance and two colour differences.
    Ycck,
}

impl Colors {
    /// The colours of components with these `ids`, in the order of libjpeg
    /// (`default_decompress_parms` in jdapimin.c): JFIF, then Adobe's transform, then the ids.
    pub(super) fn of(ids: &[u8], markers: ColorMarkers) -> Self {
        match (ids, markers.adobe_transform) {
            ([_], _) => Self::Grey,
            ([_, _, _, _], None | Some(0)) => Self::Cmyk,
            ([_, _, _, _], Some(_)) => Self::Ycck,
            _ if markers.has_jfif => Self::Ycc,
            (_, Some(0)) => Self::Rgb,
            (_, Some(_)) => Self::Ycc,
            (b"RGB", None) => Self::Rgb,
            (_, None) => Self::Ycc,
        }
    }

    /// Turns pixels of four bytes into pixels of red, green and blue, in place.
    pub(super) fn four_to_rgb(self, mut pixels: Vec<u8>) -> Vec<u8> {
        let pixel_count = pixels.len() / 4;
        for index in 0..pixel_count {
            let [a, b, c, k] = [0, 1, 2, 3].map(|channel| pixels[4 * index + channel]);
            let rgb = match self {
                Self::Ycck => ycc_to_rgb(a, b, c).map(|ink| product(255 - ink, k)),
                _ => [a, b, c].map(|paper| product(paper, k)),
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
    fn paper_and_ink_become_light() {
        assert_eq!(Colors::Cmyk.four_to_rgb(vec![255, 0, 0, 255]), [255, 0, 0]);
        assert_eq!(
            Colors::Cmyk.four_to_rgb(vec![255, 255, 255, 0, 255, 255, 255, 255]),
            [0, 0, 0, 255, 255, 255]
        );
        assert_eq!(Colors::Ycck.four_to_rgb(vec![0, 128, 128, 255]), [255, 255, 255]);
        assert_eq!(Colors::Ycck.four_to_rgb(vec![0, 128, 128, 0]), [0, 0, 0]);
    }

    #[test]
    fn markers_say_in_the_order_of_libjpeg_which_colours_they_are() {
        let of = |ids: &[u8], has_jfif, adobe_transform| {
            Colors::of(ids, ColorMarkers { has_jfif, adobe_transform })
        };
        assert_eq!(of(&[7], true, Some(0)), Colors::Grey);
        assert_eq!(of(b"RGB", true, None), Colors::Ycc);
        assert_eq!(of(&[1, 2, 3], true, Some(0)), Colors::Ycc);
        assert_eq!(of(&[1, 2, 3], false, Some(0)), Colors::Rgb);
        assert_eq!(of(b"RGB", false, Some(1)), Colors::Ycc);
        assert_eq!(of(b"RGB", false, Some(2)), Colors::Ycc);
        assert_eq!(of(b"RGB", false, None), Colors::Rgb);
        assert_eq!(of(b"rgb", false, None), Colors::Ycc);
        assert_eq!(of(&[1, 2, 3, 4], true, None), Colors::Cmyk);
        assert_eq!(of(&[1, 2, 3, 4], false, Some(0)), Colors::Cmyk);
        assert_eq!(of(b"CMYK", false, Some(1)), Colors::Ycck);
        assert_eq!(of(&[1, 2, 3, 4], true, Some(2)), Colors::Ycck);
    }
}
