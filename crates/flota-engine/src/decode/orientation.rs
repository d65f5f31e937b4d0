//! Turning an image as its EXIF orientation says.

use image::metadata::Orientation;

use super::decoded_image::RGB_BYTES;

/// Side of the squares in which an image is turned, in pixels: both sides' lines then stay in
/// the nearest cache.
const TILE: usize = 32;

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
    mut pixels: Vec<u8>,
    size: (u32, u32),
    orientation: Orientation,
) -> (Vec<u8>, (u32, u32)) {
    let (width, height) = (size.0 as usize, size.1 as usize);
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::FlipHorizontal => mirror(&mut pixels, width),
        Orientation::FlipVertical => flip(&mut pixels, width),
        Orientation::Rotate180 => {
            mirror(&mut pixels, width);
            flip(&mut pixels, width);
        }
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => {
            return (transpose(&pixels, width, height, orientation), (size.1, size.0));
        }
    }
    (pixels, size)
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

fn mirror(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(width * RGB_BYTES) {
        let (row, _) = row.as_chunks_mut::<RGB_BYTES>();
        row.reverse();
    }
}

fn flip(pixels: &mut [u8], width: usize) {
    let stride = width * RGB_BYTES;
    let height = pixels.len() / stride;
    let (top, bottom) = pixels.split_at_mut(height.div_ceil(2) * stride);
    for (upper, lower) in top.chunks_exact_mut(stride).zip(bottom.chunks_exact_mut(stride).rev()) {
        upper.swap_with_slice(lower);
    }
}

fn transpose(pixels: &[u8], width: usize, height: usize, orientation: Orientation) -> Vec<u8> {
    let (source, _) = pixels.as_chunks::<RGB_BYTES>();
    let mut turned = vec![0; pixels.len()];
    let (target, _) = turned.as_chunks_mut::<RGB_BYTES>();
    let is_from_right = matches!(orientation, Orientation::Rotate270 | Orientation::Rotate270FlipH);
    let is_from_bottom = matches!(orientation, Orientation::Rotate90 | Orientation::Rotate270FlipH);
    for top in (0..height).step_by(TILE) {
        for left in (0..width).step_by(TILE) {
            for x in left..(left + TILE).min(width) {
                let row = if is_from_right { width - 1 - x } else { x };
                for y in top..(top + TILE).min(height) {
                    let column = if is_from_bottom { height - 1 - y } else { y };
                    target[row * height + column] = source[y * width + x];
                }
            }
        }
    }
    turned
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
    fn tiles_meet_without_seams() {
        let (width, height) = (2 * TILE + 3, TILE + 1);
        let stored: Vec<u8> = (0..width * height)
            .flat_map(|index| [(index % 251) as u8, (index / 251) as u8, 7])
            .collect();
        let size = (width as u32, height as u32);
        let (once, turned_size) = turn(stored.clone(), size, Orientation::Rotate90);
        assert_ne!(once, stored);
        assert_eq!(turn(once, turned_size, Orientation::Rotate270), (stored, size));
    }
}
