//! From the bytes of a strip or tile to its samples as they are stored.

use std::{borrow::Cow, cell::Cell, io::Read as _};

use fax::{Color, decoder};
use flate2::read::ZlibDecoder;
use flota_core::Limits;
use weezl::{BitOrder, LzwStatus};

use super::{
    directory::{File, corrupt},
    layout::{Compression, Layout, Photometric},
    samples,
};
use crate::{
    DecodeError,
    decode::{ImageFormat, decoded_image::RGB_BYTES, jpeg},
};

/// Marks of a line's end (ITU-T T.4), twice.
const END_OF_LINES: [u8; 6] = [0, 0x10, 0x01, 0, 0x10, 0x01];
/// Pixels of a side that a JPEG may have beyond those of its chunk: it may be padded to whole units, and
/// the last strip may be stored as high as the others.
const JPEG_SLACK_PIXELS: u64 = 64;
/// An Adobe segment of a JPEG, up to the byte that says what its colours are.
const ADOBE: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0";

/// The rows of a chunk of which a part of `visible` size (width, height) is seen, without a predictor.
pub(super) fn chunk(
    file: &File<'_>,
    layout: &Layout<'_>,
    index: usize,
    visible: (usize, usize),
    limits: &Limits,
) -> Result<Vec<u8>, DecodeError> {
    let (at, length) = layout.chunk_places[index];
    let stored = file.at(at, length).ok_or_else(|| corrupt("a strip or tile beyond the end"))?;
    if let Compression::Jpeg(tables) = layout.compression {
        return jpeg_rows(
            &joined(tables.unwrap_or_default(), stored, layout),
            layout,
            visible,
            limits,
        );
    }
    let stored = match layout.is_reversed {
        true => Cow::Owned(stored.iter().map(|byte| byte.reverse_bits()).collect()),
        false => Cow::Borrowed(stored),
    };
    let mut rows = vec![0; layout.row_bytes() * visible.1];
    match layout.compression {
        Compression::None => {
            let whole = stored.get(..rows.len()).ok_or_else(|| corrupt("a strip cut off"))?;
            rows.copy_from_slice(whole);
        }
        Compression::Deflate => {
            ZlibDecoder::new(&*stored).read_exact(&mut rows).map_err(corrupt)?;
        }
        Compression::Lzw => unlzw(&stored, &mut rows)?,
        Compression::PackBits => unpack_bits(&stored, &mut rows)?,
        Compression::Group3 | Compression::Group4 => unfax(&stored, layout, &mut rows)?,
        Compression::Jpeg(_) => {}
    }
    samples::undo_predictor(&mut rows, layout, file.is_big_endian);
    Ok(rows)
}

fn unlzw(stored: &[u8], rows: &mut [u8]) -> Result<(), DecodeError> {
    // Until 1992 codes were stored from the lowest bit.
    if let &[0, second, ..] = stored
        && second & 1 == 1
    {
        let what = "the TIFF has LZW data in the way of before 1992, which is not read";
        return Err(DecodeError::unsupported(what));
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut read, mut written) = (0, 0);
    while written < rows.len() {
        let step = decoder.decode_bytes(&stored[read..], &mut rows[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status.map_err(corrupt)? {
            LzwStatus::Ok => {}
            LzwStatus::Done | LzwStatus::NoProgress => break,
        }
    }
    if written < rows.len() { Err(corrupt("LZW data that end early")) } else { Ok(()) }
}

fn unpack_bits(stored: &[u8], mut rows: &mut [u8]) -> Result<(), DecodeError> {
    let cut = || corrupt("PackBits data that end early");
    let mut rest = stored;
    while !rows.is_empty() {
        let (&count, after) = rest.split_first().ok_or_else(cut)?;
        let count = count.cast_signed();
        rest = match count {
            0.. => {
                let count = usize::from(count.unsigned_abs()) + 1;
                let (literal, after) = after.split_at_checked(count).ok_or_else(cut)?;
                let fitting = count.min(rows.len());
                rows[..fitting].copy_from_slice(&literal[..fitting]);
                rows = &mut rows[fitting..];
                after
            }
            i8::MIN => after,
            _ => {
                let (&value, after) = after.split_first().ok_or_else(cut)?;
                let fitting = (usize::from(count.unsigned_abs()) + 1).min(rows.len());
                rows[..fitting].fill(value);
                rows = &mut rows[fitting..];
                after
            }
        };
    }
    Ok(())
}

/// Black is 1, as in libtiff.
fn unfax(stored: &[u8], layout: &Layout<'_>, rows: &mut [u8]) -> Result<(), DecodeError> {
    let is_bilevel = layout.sample.bits() == 1 && layout.chunk_samples() == 1;
    let Some(width) = u16::try_from(layout.chunk.0).ok().filter(|_| is_bilevel) else {
        let what = "the TIFF has fax data of this size or depth, which are not read";
        return Err(DecodeError::unsupported(what));
    };
    let row_count = rows.len() / layout.row_bytes();
    let is_group3 = layout.compression == Compression::Group3;
    let mut targets = rows.chunks_exact_mut(layout.row_bytes());
    let line_count = Cell::new(0);
    let line = |transitions: &[u16]| {
        // Runs of Group 3 fill a line, unless it was cut off.
        if is_group3 && transitions.last() != Some(&width) {
            return;
        }
        line_count.set(line_count.get() + 1);
        let Some(target) = targets.next() else { return };
        let colors = decoder::pels(transitions, width).enumerate();
        for (x, _) in colors.filter(|(_, color)| *color == Color::Black) {
            target[x / 8] |= 0x80 >> (x % 8);
        }
    };
    let bytes = stored.iter().copied();
    let is_whole = match is_group3 {
        // The decoder gives a line away when the next begins, and libtiff writes no mark behind the
        // last: what the decoder says of the end says nothing. It knows of no last row, so that the
        // data end for it there.
        true => {
            let needed = bytes.take_while(|_| line_count.get() < row_count);
            decoder::decode_g3(needed.chain(END_OF_LINES), line);
            true
        }
        false => decoder::decode_g4(bytes, width, u16::try_from(row_count).ok(), line).is_some(),
    };
    match is_whole && line_count.get() >= row_count {
        true => Ok(()),
        false => Err(corrupt("fax data that end early or are damaged")),
    }
}

/// One JPEG of the tables that all chunks share and of the chunk itself. What its colours are says
/// the TIFF, whatever the segments of either say.
fn joined(tables: &[u8], chunk: &[u8], layout: &Layout<'_>) -> Vec<u8> {
    let mut stream = Vec::with_capacity(tables.len() + chunk.len() + ADOBE.len() + 3);
    stream.extend(b"\xff\xd8");
    if layout.chunk_samples() == RGB_BYTES {
        stream.extend_from_slice(ADOBE);
        stream.push(u8::from(layout.photometric == Photometric::YcbcrInJpeg));
    }
    let tables = tables.strip_prefix(b"\xff\xd8").unwrap_or(tables);
    push_plain(&mut stream, tables.strip_suffix(b"\xff\xd9").unwrap_or(tables));
    push_plain(&mut stream, chunk.strip_prefix(b"\xff\xd8").unwrap_or(chunk));
    stream
}

/// Adds the segments of a JPEG to `stream`, without those of applications and comments, and what follows
/// them.
fn push_plain(stream: &mut Vec<u8>, mut rest: &[u8]) {
    while let [0xff, marker @ 0xc0..=0xff, ref after @ ..] = *rest {
        // A marker may have more bytes of 0xff before it.
        if marker == 0xff {
            rest = &rest[1..];
            continue;
        }
        let [high, low, ..] = *after else { break };
        let length = usize::from(u16::from_be_bytes([high, low])) + 2;
        if marker == 0xda || length > rest.len() {
            break;
        }
        if !matches!(marker, 0xe0..=0xef | 0xfe) {
            stream.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    stream.extend_from_slice(rest);
}

fn jpeg_rows(
    stream: &[u8],
    layout: &Layout<'_>,
    (width, height): (usize, usize),
    limits: &Limits,
) -> Result<Vec<u8>, DecodeError> {
    let side = |side: u32| u64::from(side) + JPEG_SLACK_PIXELS;
    let max_pixels = limits.max_pixels.min(2 * side(layout.chunk.0) * side(layout.chunk.1));
    let limits = Limits { max_pixels, ..limits.clone() };
    let image =
        jpeg::decode_components(stream, &limits, layout.chunk_samples()).map_err(from_jpeg)?;
    let (image_width, image_height) = (image.width as usize, image.height as usize);
    if image_width < width || image_height < height {
        return Err(corrupt("a JPEG inside that is smaller than its strip or tile"));
    }
    let samples = layout.chunk_samples();
    let mut rows = vec![0; layout.row_bytes() * height];
    let targets = rows.chunks_exact_mut(layout.row_bytes());
    for (target, row) in targets.zip(image.pixels.chunks_exact(image_width * RGB_BYTES)) {
        let pixels = target.chunks_exact_mut(samples).zip(row.chunks_exact(RGB_BYTES));
        pixels.for_each(|(target, pixel)| target.copy_from_slice(&pixel[..samples]));
    }
    Ok(rows)
}

fn from_jpeg(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::TooLarge { .. } => DecodeError::over_decoder_limit(ImageFormat::Tiff, error),
        DecodeError::Unsupported { .. } => DecodeError::Unsupported {
            what: "the TIFF has a JPEG inside of a kind that is not read".to_owned(),
            source: Some(error.into()),
        },
        other => corrupt(other),
    }
}
