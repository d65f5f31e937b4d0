//! Windows and OS/2 bitmaps.
//!
//! Read here, for every kind that browsers and Pillow read comes out as there: palettes with a gap
//! before the pixels, images stored from the top, run lengths, masks. Other kinds are refused by
//! name.

use std::collections::BTreeSet;

use flota_core::Limits;
use image::metadata::Orientation;

use super::{
    DecodeError, ImageFormat,
    bmp_header::{Encoding, Header, corrupt},
    bmp_runs,
    decoded_image::{RGB_BYTES, check_memory, check_size},
    raster::{Pixels, RGBA_BYTES, Stored},
};

/// Decodes `bytes`, which begin like a BMP.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let header = Header::read(bytes)?;
    let size = (header.width, header.height);
    check_size(ImageFormat::Bmp, size, limits)?;
    let pixel_count = u64::from(header.width) * u64::from(header.height);
    let channels = if header.has_opacity() { RGBA_BYTES } else { RGB_BYTES };
    let is_run_length = matches!(header.encoding, Encoding::RunLength);
    let index_bytes = if is_run_length { pixel_count } else { 0 };
    check_memory(pixel_count * channels as u64 + index_bytes, limits)?;

    let data = bytes.get(header.data_at..).unwrap_or_default();
    let pixels = match &header.encoding {
        Encoding::Palette => Pixels::Rgb(palette(&header, data)?),
        Encoding::RunLength => {
            let indexes = bmp_runs::read(&header, data)?;
            let colors = indexes.iter().flat_map(|index| header.color(*index));
            Pixels::Rgb(colors.collect())
        }
        Encoding::Bgr => Pixels::Rgb(bgr(&header, data)?),
        Encoding::Masks(_) => masked(&header, data)?,
    };
    Ok(Stored {
        format: ImageFormat::Bmp,
        size,
        pixels,
        orientation: Orientation::NoTransforms,
        profile: header.profile(bytes),
        flags: BTreeSet::new(),
    })
}

/// The rows of an image from its top, without what pads them to four bytes. The last row of a file
/// may lack its padding.
fn rows<'a>(
    header: &Header,
    data: &'a [u8],
) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, DecodeError> {
    let row_bytes = (header.width as usize * usize::from(header.bits)).div_ceil(8);
    let stride = row_bytes.next_multiple_of(4);
    let height = header.height as usize;
    if data.len() < stride * (height - 1) + row_bytes {
        return Err(corrupt("the file ends before its last row"));
    }
    let is_from_top = header.is_from_top;
    Ok((0..height).map(move |index| {
        let row = if is_from_top { index } else { height - 1 - index };
        &data[row * stride..][..row_bytes]
    }))
}

fn palette(header: &Header, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let bits = usize::from(header.bits);
    let mask = u8::MAX >> (8 - bits);
    let width = header.width as usize;
    let mut pixels = Vec::with_capacity(width * header.height as usize * RGB_BYTES);
    for row in rows(header, data)? {
        for x in 0..width {
            let shift = 8 - bits - x * bits % 8;
            pixels.extend(header.color(row[x * bits / 8] >> shift & mask));
        }
    }
    Ok(pixels)
}

fn bgr(header: &Header, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let pixel_bytes = usize::from(header.bits) / 8;
    let pixel_count = header.width as usize * header.height as usize;
    let mut pixels = Vec::with_capacity(pixel_count * RGB_BYTES);
    for row in rows(header, data)? {
        pixels.extend(row.chunks_exact(pixel_bytes).flat_map(|bgr| [bgr[2], bgr[1], bgr[0]]));
    }
    Ok(pixels)
}

/// Pixels of 16 or 32 bits whose channels lie where masks say. An image of which no pixel has any
/// opacity is opaque, as in browsers: its writer left the bits empty.
fn masked(header: &Header, data: &[u8]) -> Result<Pixels, DecodeError> {
    let Encoding::Masks(masks) = &header.encoding else { return Err(corrupt("no masks")) };
    let [red, green, blue, opacity] = masks;
    let has_opacity = header.has_opacity();
    let pixel_bytes = usize::from(header.bits) / 8;
    let channels = if has_opacity { RGBA_BYTES } else { RGB_BYTES };
    let pixel_count = header.width as usize * header.height as usize;
    let mut pixels = Vec::with_capacity(pixel_count * channels);
    let mut is_visible = false;
    for row in rows(header, data)? {
        for stored in row.chunks_exact(pixel_bytes) {
            let value = stored.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            pixels.extend([red, green, blue].map(|mask| mask.of(value)));
            if has_opacity {
                let opacity = opacity.of(value);
                is_visible |= opacity != 0;
                pixels.push(opacity);
            }
        }
    }
    if has_opacity && !is_visible {
        pixels.as_chunks_mut::<RGBA_BYTES>().0.iter_mut().for_each(|pixel| pixel[3] = u8::MAX);
    }
    Ok(if has_opacity { Pixels::Rgba(pixels) } else { Pixels::Rgb(pixels) })
}
