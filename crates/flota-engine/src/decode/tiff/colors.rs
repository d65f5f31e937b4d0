//! From samples to red, green, blue and opacity.

use super::layout::{Layout, Opacity, Photometric};
use crate::decode::decoded_image::RGB_BYTES;

/// Writes the pixels of a row of samples to `target`, as many as it has.
pub(super) fn write(row: &[u8], layout: &Layout<'_>, target: &mut [u8]) {
    let channels = RGB_BYTES + usize::from(layout.opacity.is_some());
    let opacity_at = layout.photometric.color_samples();
    for (pixel, samples) in target.chunks_exact_mut(channels).zip(row.chunks_exact(layout.samples))
    {
        let color = color(samples, &layout.photometric);
        let Some(opacity) = layout.opacity else {
            pixel.copy_from_slice(&color);
            continue;
        };
        let alpha = samples[opacity_at];
        let color = match opacity {
            Opacity::Associated => color.map(|value| divided(value, alpha)),
            Opacity::Unassociated => color,
        };
        pixel[..RGB_BYTES].copy_from_slice(&color);
        pixel[RGB_BYTES] = alpha;
    }
}

fn color(samples: &[u8], photometric: &Photometric) -> [u8; RGB_BYTES] {
    match photometric {
        Photometric::WhiteIsZero => [u8::MAX - samples[0]; RGB_BYTES],
        Photometric::BlackIsZero => [samples[0]; RGB_BYTES],
        Photometric::Rgb | Photometric::YcbcrInJpeg => [samples[0], samples[1], samples[2]],
        Photometric::Palette(colors) => colors[usize::from(samples[0])],
        // Each as how much ink there is, unlike in a JPEG.
        Photometric::Cmyk => {
            let light = |ink: u8| u32::from(u8::MAX - ink);
            let black = light(samples[3]);
            [0, 1, 2].map(|n| ((light(samples[n]) * black + 127) / 255) as u8)
        }
    }
}

/// A colour that was multiplied by its opacity, as it was before; where nothing is seen of it, as it is.
fn divided(value: u8, opacity: u8) -> u8 {
    if opacity == 0 {
        return value;
    }
    let (value, opacity) = (u32::from(value), u32::from(opacity));
    ((value * 255 + opacity / 2) / opacity).min(255) as u8
}
