//! Strip by strip or tile by tile, from the file to the image.

use flota_core::Limits;

use super::{
    colors, compression,
    directory::{File, corrupt},
    layout::{Compression, Layout, Opacity, Predictor},
    samples,
};
use crate::{
    DecodeError,
    decode::{
        decoded_image::{RGB_BYTES, check_memory},
        raster::{Pixels, RGBA_BYTES},
    },
};

/// Work that a chunk costs beside its bytes, as bytes: a decoder is set up, and of a JPEG its tables.
const CHUNK_BYTES: u64 = 64;
const JPEG_CHUNK_BYTES: u64 = 1024;
/// What chunks may have in all beyond twice the file: equal ones may be stored once.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;
/// Memory of where a chunk lies, and of the number that it was read from.
const PLACE_BYTES: u64 = 24;

/// Checks what reading the chunks takes by what the fields say of them.
///
/// # Errors
/// `TooLarge` for tiles that are longer than an image may be, for chunks that overlap so that they are
/// much larger than the file or than the image may be, and for what takes too much memory.
pub(super) fn check(
    file: &File<'_>,
    layout: &Layout<'_>,
    is_transposing: bool,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let (width, height) = layout.chunk;
    if width.max(height) > limits.max_dimension {
        let limit = limits.max_dimension;
        let what = format!(
            "the TIFF has tiles of {width} x {height} pixels, and the limit is {limit} a side"
        );
        return Err(DecodeError::too_large(what));
    }
    let (across, down) = layout.chunk_counts();
    let tiled_pixels = u64::from(width) * u64::from(across) * u64::from(height) * u64::from(down);
    let limit = 2 * limits.max_pixels;
    if layout.is_tiled && tiled_pixels > limit {
        let what =
            format!("the TIFF has tiles of {tiled_pixels} pixels in all, and the limit is {limit}");
        return Err(DecodeError::too_large(what));
    }
    let chunk_bytes = match layout.compression {
        Compression::Jpeg(tables) => JPEG_CHUNK_BYTES + tables.map_or(0, <[u8]>::len) as u64,
        _ => CHUNK_BYTES,
    };
    let mut work: u64 = 0;
    for (at, length) in &layout.chunk_places {
        file.at(*at, *length).ok_or_else(|| corrupt("a strip or tile beyond the end"))?;
        work = work.saturating_add(length + chunk_bytes);
    }
    let limit = 2 * file.bytes.len() as u64 + SLACK_BYTES;
    if work > limit {
        let what = format!(
            "the TIFF has strips or tiles of {work} bytes in all, and the limit is {limit}"
        );
        return Err(DecodeError::too_large(what));
    }
    check_memory(memory_bytes(layout, is_transposing), limits)
}

/// Memory at its peak: the image, the chunk that is read, and what reading it needs beside it. What
/// decoding a JPEG takes is checked with each.
fn memory_bytes(layout: &Layout<'_>, is_transposing: bool) -> u64 {
    let pixels = u64::from(layout.width) * u64::from(layout.height);
    let turned = if is_transposing { RGB_BYTES as u64 * pixels } else { 0 };
    picture_bytes(layout).saturating_add(reading_bytes(layout).max(turned))
}

/// Memory of the image and of where its chunks lie.
fn picture_bytes(layout: &Layout<'_>) -> u64 {
    let pixels = u64::from(layout.width) * u64::from(layout.height);
    pixels * channels(layout) as u64 + layout.chunk_places.len() as u64 * PLACE_BYTES
}

/// Memory of the rows of a chunk, of one row of samples, and of what undoing the compression copies.
fn reading_bytes(layout: &Layout<'_>) -> u64 {
    let row_bytes = layout.row_bytes() as u64;
    let rows = u64::from(layout.chunk.1.min(layout.height));
    let chunk = rows.saturating_mul(row_bytes).saturating_mul(read_planes(layout));
    let samples = u64::from(layout.chunk.0.min(layout.width)) * layout.samples as u64;
    let predicted = if layout.predictor == Predictor::FloatingPoint { row_bytes } else { 0 };
    let longest = layout.chunk_places.iter().map(|(_, length)| *length).max().unwrap_or_default();
    let copied = match layout.compression {
        Compression::Jpeg(tables) => longest.saturating_add(tables.map_or(0, <[u8]>::len) as u64),
        _ if layout.is_reversed => longest,
        _ => 0,
    };
    chunk.saturating_add(samples + predicted).saturating_add(copied)
}

/// Reads the image.
pub(super) fn read(
    file: &File<'_>,
    layout: &Layout<'_>,
    limits: &Limits,
) -> Result<Pixels, DecodeError> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let channels = channels(layout);
    let mut pixels = vec![0; width * height * channels];
    let (across, down) = layout.chunk_counts();
    let (chunk_width, chunk_height) = (layout.chunk.0 as usize, layout.chunk.1 as usize);
    let mut row = vec![0; chunk_width.min(width) * layout.samples];
    // A JPEG inside may take what the rest leaves.
    let taken_bytes = picture_bytes(layout).saturating_add(reading_bytes(layout));
    let max_memory_bytes = limits.max_memory_bytes.saturating_sub(taken_bytes);
    let limits = &Limits { max_memory_bytes, ..limits.clone() };
    for index in 0..across as usize * down as usize {
        let (left, top) =
            (index % across as usize * chunk_width, index / across as usize * chunk_height);
        let visible = (chunk_width.min(width - left), chunk_height.min(height - top));
        let planes: Vec<Vec<u8>> = (0..read_planes(layout) as usize)
            .map(|plane| {
                let index = plane * across as usize * down as usize + index;
                compression::chunk(file, layout, index, visible, limits)
            })
            .collect::<Result<_, _>>()?;
        for y in 0..visible.1 {
            for (plane, bytes) in planes.iter().enumerate() {
                let stored = &bytes[y * layout.row_bytes()..][..layout.row_bytes()];
                let stride = if layout.is_planar { layout.samples } else { 1 };
                let shown = &mut row[..visible.0 * layout.samples];
                let targets = shown.iter_mut().skip(plane).step_by(stride);
                samples::unpack(stored, layout, file.is_big_endian, targets)?;
            }
            let at = ((top + y) * width + left) * channels;
            let target = &mut pixels[at..at + visible.0 * channels];
            colors::write(&row, layout, target);
        }
    }
    Ok(match layout.opacity {
        None => Pixels::Rgb(pixels),
        Some(Opacity::Associated | Opacity::Unassociated) => Pixels::Rgba(pixels),
    })
}

fn channels(layout: &Layout<'_>) -> usize {
    if layout.opacity.is_some() { RGBA_BYTES } else { RGB_BYTES }
}

/// Planes that are read of a chunk: one that has all samples, or the colours and the opacity.
fn read_planes(layout: &Layout<'_>) -> u64 {
    match layout.is_planar {
        false => 1,
        true => layout.photometric.color_samples() as u64 + u64::from(layout.opacity.is_some()),
    }
}
