//! What is on the generated images.

/// Their size in pixels: wide, so that a crop shows.
pub(super) const SIZE: (u32, u32) = (320, 240);
/// Side of the squares of a checkerboard, in pixels.
const SQUARE: u32 = 20;

/// Red, green and blue of a place.
pub(super) type Pixel = fn(u32, u32) -> [u8; 3];

/// Ten images that differ as widely as images can: no trained network answers the same to all. Then six
/// drawn scenes: to some networks everything without the edges and textures of a photo is the same.
pub(super) const IMAGES: [(&str, Pixel); 16] = [
    ("black", |_, _| [0; 3]),
    ("noise", |x, y| [noise(x, y, 1), noise(x, y, 2), noise(x, y, 3)]),
    ("white", |_, _| [255; 3]),
    ("grey", |_, _| [128; 3]),
    ("red", |_, _| [255, 0, 0]),
    ("green", |_, _| [0, 255, 0]),
    ("blue", |_, _| [0, 0, 255]),
    ("gradient", |x, y| [level(x, SIZE.0), level(y, SIZE.1), 128]),
    ("checkerboard", |x, y| [if (x / SQUARE + y / SQUARE).is_multiple_of(2) { 255 } else { 0 }; 3]),
    ("disc", disc),
    ("clouds", |x, y| mixed([70, 120, 200], [240, 240, 245], texture(x, y, 11))),
    ("hills", hills),
    ("stones", |x, y| mixed([60, 50, 45], [190, 180, 165], texture(x * 3, y * 3, 13))),
    ("a face", face),
    ("a street", street),
    ("a leaf", leaf),
];

fn level(place: u32, length: u32) -> u8 {
    (place * 255 / (length - 1)) as u8
}

/// The same for the same place always: a hash of it (Murmur3's last steps).
fn noise(x: u32, y: u32, seed: u32) -> u8 {
    let mut hash = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    (hash >> 24) as u8
}

/// Noise of all sizes from 64 pixels to 2, the large strongest, as textures of photos are. 0 to 255.
fn texture(x: u32, y: u32, seed: u32) -> u8 {
    let octaves = (1..=6).rev().map(|octave| {
        let side = 1 << octave;
        u32::from(smooth(x, y, side, seed + side)) * side
    });
    (octaves.sum::<u32>() / 126) as u8
}

/// Noise between whose points, `side` pixels apart, levels change evenly.
fn smooth(x: u32, y: u32, side: u32, seed: u32) -> u8 {
    let at = |dx, dy| u32::from(noise(x / side + dx, y / side + dy, seed));
    let (right, down) = (x % side, y % side);
    let row = |dy| at(0, dy) * (side - right) + at(1, dy) * right;
    ((row(0) * (side - down) + row(1) * down) / (side * side)) as u8
}

/// From one colour to the other.
fn mixed(from: [u8; 3], to: [u8; 3], part: u8) -> [u8; 3] {
    let part = u16::from(part);
    let mix = |(from, to): (u8, u8)| {
        ((u16::from(from) * (255 - part) + u16::from(to) * part) / 255) as u8
    };
    [mix((from[0], to[0])), mix((from[1], to[1])), mix((from[2], to[2]))]
}

/// Whether a place lies in the ellipse around a middle.
fn is_in(x: u32, y: u32, middle: (u32, u32), radii: (u32, u32)) -> bool {
    let (dx, dy) = (x.abs_diff(middle.0) * radii.1, y.abs_diff(middle.1) * radii.0);
    dx * dx + dy * dy < (radii.0 * radii.1) * (radii.0 * radii.1)
}

/// An orange disc on blue.
fn disc(x: u32, y: u32) -> [u8; 3] {
    let middle = (SIZE.0 / 2, SIZE.1 / 2);
    if is_in(x, y, middle, (SIZE.1 / 3, SIZE.1 / 3)) { [230, 140, 40] } else { [60, 110, 190] }
}

fn hills(x: u32, y: u32) -> [u8; 3] {
    let ridge = 90 + u32::from(texture(x, 0, 21)) / 3;
    match y < ridge {
        true => mixed([120, 160, 215], [225, 230, 235], level(y, SIZE.1)),
        false => mixed([35, 60, 25], [130, 150, 70], texture(x, y * 2, 22)),
    }
}

fn face(x: u32, y: u32) -> [u8; 3] {
    let is_eye = is_in(x, y, (135, 105), (12, 7)) || is_in(x, y, (185, 105), (12, 7));
    match () {
        () if is_eye => [40, 30, 30],
        () if is_in(x, y, (160, 165), (28, 8)) => [170, 70, 70],
        () if is_in(x, y, (160, 125), (62, 85)) => {
            mixed([205, 150, 120], [235, 190, 165], texture(x, y, 31))
        }
        () if is_in(x, y, (160, 105), (78, 92)) => {
            mixed([45, 30, 20], [80, 55, 40], texture(x, y * 4, 32))
        }
        () => mixed([110, 125, 120], [150, 160, 150], texture(x, y, 33)),
    }
}

fn street(x: u32, y: u32) -> [u8; 3] {
    let house = x / 64;
    let roof = 40 + u32::from(noise(house, 0, 41)) / 4;
    let is_window = x % 32 > 8 && x % 32 < 24 && y % 36 > 10 && y % 36 < 30;
    match () {
        () if y > 190 => mixed([70, 70, 72], [110, 108, 105], texture(x, y, 42)),
        () if y < roof => [190, 205, 225],
        () if is_window => [50, 60, 75],
        () => {
            let wall = [noise(house, 1, 43) / 2 + 100, noise(house, 2, 43) / 2 + 90, 100];
            mixed(wall, [220, 210, 200], texture(x, y, 44) / 2)
        }
    }
}

fn leaf(x: u32, y: u32) -> [u8; 3] {
    let is_vein = x.abs_diff(160) < 2 || (x.abs_diff(160) + y) % 24 < 2;
    match is_in(x, y, (160, 120), (70, 105)) {
        true if is_vein => [150, 190, 90],
        true => mixed([30, 100, 30], [80, 160, 50], texture(x, y, 51)),
        false => mixed([100, 75, 50], [160, 130, 95], texture(x * 2, y * 2, 52)),
    }
}
