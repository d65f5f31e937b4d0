//! Antialiased resizing, rounded to bytes: with Pillow's arithmetic, or with weights of 16 bits.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use flota_core::{Filter, InputSpec, Resizer};

use super::{
    pillow::{self, Axis},
    placement::Placement,
};
use crate::{
    DecodedImage,
    decode::{EIGHTHS, RGB_BYTES},
};

/// The canvas of `placement` with `image` on it, as pixels of three bytes.
pub(super) fn resample(image: &DecodedImage, placement: &Placement, spec: &InputSpec) -> Vec<u8> {
    let visible = match spec.resizer {
        Resizer::Pillow => visible_part(image, placement, spec.filter),
        Resizer::SixteenBit => visible_part_by_16_bits(image, placement, spec.filter),
    };
    laid(visible, placement)
}

/// The canvas of `placement` with the `visible` part of the image on it.
pub(super) fn laid(visible: Vec<u8>, placement: &Placement) -> Vec<u8> {
    if placement.is_covering() {
        return visible;
    }
    let stride = placement.canvas.0 as usize * RGB_BYTES;
    let left = placement.offset.0 as usize * RGB_BYTES;
    let row_bytes = placement.visible.0 as usize * RGB_BYTES;
    let mut canvas =
        placement.fill.repeat(placement.canvas.0 as usize * placement.canvas.1 as usize);
    let rows = canvas.chunks_exact_mut(stride).skip(placement.offset.1 as usize);
    for (row, source) in rows.zip(visible.chunks_exact(row_bytes)) {
        row[left..left + row_bytes].copy_from_slice(source);
    }
    canvas
}

/// The part of the resized image that the crop shows.
fn visible_part(image: &DecodedImage, placement: &Placement, filter: Filter) -> Vec<u8> {
    let wanted = |crop: u32, visible: u32| crop..crop + visible;
    let columns = Axis {
        line_count: image.width,
        covered: covered(image, image.width, image.original.0, image.is_turned_over.0),
        scaled: placement.scaled.0,
        wanted: wanted(placement.crop.0, placement.visible.0),
    };
    let rows = Axis {
        line_count: image.height,
        covered: covered(image, image.height, image.original.1, image.is_turned_over.1),
        scaled: placement.scaled.1,
        wanted: wanted(placement.crop.1, placement.visible.1),
    };
    pillow::resize(&image.pixels, &columns, &rows, filter)
}

/// The same with weights of 16 bits. Resizes only what is seen: the part of the image that the crop shows,
/// with the surroundings that the filter needs.
fn visible_part_by_16_bits(image: &DecodedImage, placement: &Placement, filter: Filter) -> Vec<u8> {
    // The type of the pixels is named here: `Resizer::resize`, which asks for it at run time, would have this crate
    // compile the same for 13 types, and that took longer than all the rest of it.
    let source = TypedImageRef::<U8x3>::from_buffer(image.width, image.height, &image.pixels)
        .expect("a decoded image has as many bytes as its size says");
    let visible = placement.visible;
    let mut target = vec![0; visible.0 as usize * visible.1 as usize * RGB_BYTES];
    let mut view = TypedImage::<U8x3>::from_buffer(visible.0, visible.1, &mut target)
        .expect("the target was made in its size");
    let filter = match filter {
        Filter::BicubicAntialias => FilterType::CatmullRom,
        Filter::LanczosAntialias => FilterType::Lanczos3,
        Filter::BoxAntialias => FilterType::Box,
        Filter::HammingAntialias => FilterType::Hamming,
        Filter::BilinearAntialias
        | Filter::Bilinear
        | Filter::Bicubic
        | Filter::BilinearAlignCorners => FilterType::Bilinear,
    };
    let columns = covered(image, image.width, image.original.0, image.is_turned_over.0);
    let rows = covered(image, image.height, image.original.1, image.is_turned_over.1);
    let (left, width) = span(columns, placement.scaled.0, placement.crop.0, visible.0);
    let (top, height) = span(rows, placement.scaled.1, placement.crop.1, visible.1);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(left, top, width, height);
    fast_image_resize::Resizer::new()
        .resize_typed(&source, &mut view, &options)
        .expect("the crop lies within the source");
    target
}

/// Where the image begins among the `decoded` lines that stand for `original` ones, and how many
/// it takes.
fn covered(image: &DecodedImage, decoded: u32, original: u32, is_turned_over: bool) -> (f64, f64) {
    let length = f64::from(original) * f64::from(image.eighths) / f64::from(EIGHTHS);
    (if is_turned_over { f64::from(decoded) - length } else { 0.0 }, length)
}

/// Where the `visible` of `scaled` lines from `crop` on begin among the decoded ones, and how many
/// of those they take.
fn span((begin, length): (f64, f64), scaled: u32, crop: u32, visible: u32) -> (f64, f64) {
    if visible == scaled {
        return (begin, length);
    }
    let per_line = length / f64::from(scaled);
    (begin + f64::from(crop) * per_line, f64::from(visible) * per_line)
}
