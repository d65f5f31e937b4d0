//! Turning an image as its EXIF orientation says.

use image::{DynamicImage, RgbImage, metadata::Orientation};

#[cfg(any(feature = "turbojpeg", test))]
use super::decoded_image::RGB_BYTES;

/// Whether turning it exchanges width and height, for which a second buffer is needed.
pub(super) fn is_transposing(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Turns `pixels` of `size` (width, height) upright and returns them with their new size.
pub(super) fn turn(
    pixels: Vec<u8>,
    (width, height): (u32, u32),
    orientation: Orientation,
) -> (Vec<u8>, (u32, u32)) {
    let image =
        RgbImage::from_raw(width, height, pixels).expect("an image has three bytes for each pixel");
    let mut image = DynamicImage::from(image);
    image.apply_orientation(orientation);
    let size = (image.width(), image.height());
    (image.into_bytes(), size)
}

/// Whether turning makes the last column or row of an upright image its first: whatever stood at
/// the right or the bottom then stands at the left or the top.
#[cfg(feature = "turbojpeg")]
pub(super) fn is_turned_over(orientation: Orientation) -> (bool, bool) {
    const FIRST: u8 = 1;
    let mut corners = vec![0; 4 * RGB_BYTES];
    corners[0] = FIRST;
    let (turned, _) = turn(corners, (2, 2), orientation);
    let corner = turned.iter().position(|value| *value == FIRST).unwrap_or_default() / RGB_BYTES;
    (corner % 2 == 1, corner / 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each EXIF value must make of the stored rows `ab`, `cd`, `ef`.
    #[test]
    fn each_orientation_ends_upright() {
        let stored: Vec<u8> = b"abcdef".iter().flat_map(|letter| [*letter; RGB_BYTES]).collect();
        for (exif, upright, size) in [
            (1, "abcdef", (2, 3)),
            (2, "badcfe", (2, 3)),
            (3, "fedcba", (2, 3)),
            (4, "efcdab", (2, 3)),
            (5, "acebdf", (3, 2)),
            (6, "ecafdb", (3, 2)),
            (7, "fdbeca", (3, 2)),
            (8, "bdface", (3, 2)),
        ] {
            let orientation = Orientation::from_exif(exif).unwrap();
            let (pixels, turned_size) = turn(stored.clone(), (2, 3), orientation);
            let letters: Vec<u8> = pixels.chunks(RGB_BYTES).map(|pixel| pixel[0]).collect();
            assert_eq!(String::from_utf8(letters).unwrap(), upright, "EXIF {exif}");
            assert_eq!(turned_size, size, "EXIF {exif}");
            assert_eq!(is_transposing(orientation), size == (3, 2), "EXIF {exif}");
        }
    }

    #[test]
    fn what_is_turned_back_is_as_it_was() {
        let (width, height) = (67, 33);
        let stored: Vec<u8> = (0..width * height)
            .flat_map(|index| [(index % 251) as u8, (index / 251) as u8, 7])
            .collect();
        let (once, turned_size) = turn(stored.clone(), (width, height), Orientation::Rotate90);
        assert_ne!(once, stored);
        assert_eq!(turn(once, turned_size, Orientation::Rotate270), (stored, (width, height)));
    }
}
