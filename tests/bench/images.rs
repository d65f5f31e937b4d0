//! Photo-like images of 640 x 480, drawn, so that anybody has the same.

use std::io::Cursor;

use anyhow::{Context, Result};
use image::{ImageFormat, Rgb, RgbImage};

/// Images that are drawn; more images than that share them.
const MAX_PICTURES: usize = 16;

/// `count` JPEGs that differ in content.
pub fn draw(count: usize, seed: u32) -> Result<Vec<Vec<u8>>> {
    let picture_count = count.min(MAX_PICTURES);
    let images: Vec<Vec<u8>> =
        (0..picture_count as u32).map(|n| jpeg(seed.wrapping_add(n))).collect::<Result<_>>()?;
    Ok(distinct(&images, count, seed.into()))
}

/// `count` files of `images` that differ in content: bytes after the end of an image change its
/// hash and not its decoding.
pub fn distinct(images: &[Vec<u8>], count: usize, seed: u64) -> Vec<Vec<u8>> {
    let file = |n: usize| {
        let mut bytes = images[n % images.len()].clone();
        bytes.extend_from_slice(&(seed << 32 | n as u64).to_le_bytes());
        bytes
    };
    (0..count).map(file).collect()
}

fn jpeg(seed: u32) -> Result<Vec<u8>> {
    let phase = seed as f32 * 0.7;
    let picture = RgbImage::from_fn(640, 480, |x, y| {
        let (u, v) = (x as f32 / 64.0, y as f32 / 48.0);
        let wave = |a: f32, b: f32| (a * u + phase).sin() * (b * v - phase).cos();
        let grain = (x.wrapping_mul(374_761_393) ^ y.wrapping_mul(668_265_263) ^ seed) % 23;
        let shade = |a: f32, b: f32| (128.0 + 90.0 * wave(a, b) + grain as f32) as u8;
        Rgb([shade(0.9, 1.3), shade(1.7, 0.6), shade(0.4, 2.1)])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Jpeg).context("encoding a JPEG")?;
    Ok(bytes.into_inner())
}
