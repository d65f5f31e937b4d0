//! Pictures that are made to see whether a network's answers make sense.

use crate::{DecodedImage, ImageFormat, InferError, Model, Session};

/// Size of the made pictures: wide, so that a crop shows.
const SIZE: (u32, u32) = (320, 240);
/// Side of the squares of a checkerboard, in pixels.
const SQUARE: u32 = 20;

/// A made picture and the network's numbers for it, before any softmax or sigmoid of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeAnswer {
    /// What is on the picture.
    pub picture: &'static str,
    /// What the network answers, in the order of the labels.
    pub numbers: Vec<f32>,
}

type Pixel = fn(u32, u32) -> [u8; 3];

/// Ten pictures that differ as widely as pictures can: no trained network answers the same to all.
const PICTURES: [(&str, Pixel); 10] = [
    ("black", |_, _| [0; 3]),
    ("white", |_, _| [255; 3]),
    ("grey", |_, _| [128; 3]),
    ("red", |_, _| [255, 0, 0]),
    ("green", |_, _| [0, 255, 0]),
    ("blue", |_, _| [0, 0, 255]),
    ("gradient", |x, y| [level(x, SIZE.0), level(y, SIZE.1), 128]),
    ("checkerboard", |x, y| [if (x / SQUARE + y / SQUARE).is_multiple_of(2) { 255 } else { 0 }; 3]),
    ("noise", |x, y| [noise(x, y, 1), noise(x, y, 2), noise(x, y, 3)]),
    ("disc", disc),
];

impl Model {
    /// What the network answers to ten made pictures, run one after the other.
    ///
    /// # Errors
    /// If the network fails on one of them.
    pub fn probe(&self, session: &mut dyn Session) -> Result<Vec<ProbeAnswer>, InferError> {
        PICTURES
            .iter()
            .map(|&(picture, pixel)| {
                let answers = session.run(&[self.prepare(&drawn(pixel))])?;
                let numbers = answers.into_iter().next().unwrap_or_default();
                Ok(ProbeAnswer { picture, numbers })
            })
            .collect()
    }
}

fn drawn(pixel: Pixel) -> DecodedImage {
    let places = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
    let pixels = places.flat_map(|(x, y)| pixel(x, y)).collect();
    DecodedImage::whole(SIZE, pixels, ImageFormat::Png)
}

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

/// An orange disc on blue.
fn disc(x: u32, y: u32) -> [u8; 3] {
    let (dx, dy) = (x.abs_diff(SIZE.0 / 2), y.abs_diff(SIZE.1 / 2));
    let radius = SIZE.1 / 3;
    if dx * dx + dy * dy < radius * radius { [230, 140, 40] } else { [60, 110, 190] }
}
