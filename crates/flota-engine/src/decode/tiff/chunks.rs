//! Strip by strip or tile by tile, from the file to the picture.

use flota_core::Limits;

use super::{
    colors, compression,
    directory::File,
    layout::{Compression, Layout, Opacity},
    samples,
};
use crate::{
    DecodeError,
    decode::{
        picture::RGB_BYTES,
        raster::{Pixels, RGBA_BYTES},
    },
};

/// Memory at its peak: the picture, the chunk that is read, and what reading it needs beside it.
pub(super) fn memory_bytes(layout: &Layout<'_>, is_transposing: bool) -> u64 {
    let pixels = u64::from(layout.width) * u64::from(layout.height);
    let rows = u64::from(layout.chunk.1.min(layout.height));
    let chunk = rows.saturating_mul(row_bytes(layout) as u64).saturating_mul(read_planes(layout));
    let jpeg = match layout.compression {
        // The decoder of JPEG checks for itself what it needs beside its pixels.
        Compression::Jpeg(_) => rows * u64::from(layout.chunk.0) * RGB_BYTES as u64,
        _ => 0,
    };
    let turned = if is_transposing { RGB_BYTES as u64 * pixels } else { 0 };
    (pixels * channels(layout) as u64).saturating_add((chunk.saturating_add(jpeg)).max(turned))
}

/// Reads the picture.
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
    let mut row = vec![0; chunk_width * layout.samples];
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
                let stored = &bytes[y * row_bytes(layout)..][..row_bytes(layout)];
                let stride = if layout.is_planar { layout.samples } else { 1 };
                let targets = row.iter_mut().skip(plane).step_by(stride);
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

/// Samples of a pixel that a chunk has.
pub(super) fn chunk_samples(layout: &Layout<'_>) -> usize {
    if layout.is_planar { 1 } else { layout.samples }
}

/// Bytes of a row of a chunk, once it is decompressed.
pub(super) fn row_bytes(layout: &Layout<'_>) -> usize {
    (layout.chunk.0 as usize * chunk_samples(layout) * layout.sample.bits()).div_ceil(8)
}
