//! GIF: whether it moves, and how large its first frame makes it.

use std::borrow::Cow;

use flota_core::{ImageFlag, Limits};

use super::{
    DecodeError, ImageFormat,
    raster::{self, Description, Stored},
};

/// Where the width of the screen is, with its height behind it.
const SCREEN: usize = 6;
/// Bytes before the first block, without the colours of all frames.
const HEADER_BYTES: usize = 13;
/// Bytes of a frame's header after the byte that begins it, without its colours.
const FRAME_HEADER_BYTES: usize = 9;

/// Decodes `bytes`, which begin like a GIF.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let mut description = Description::default();
    let mut frames = Vec::new();
    // Where the file ends within a frame, the decoder says so.
    let _ = find_frames(bytes, &mut frames);
    if frames.len() > 1 {
        description.flags.insert(ImageFlag::Animated);
    }
    let bytes = match frames.first() {
        Some(frame) => on_its_screen(bytes, frame),
        None => Cow::Borrowed(bytes),
    };
    if let Cow::Owned(copy) = &bytes {
        description.copied_bytes = copy.capacity() as u64;
    }
    raster::decode(&bytes, ImageFormat::Gif, limits, description)
}

/// The file with a screen that its first frame fits into, as browsers and Pillow show it.
fn on_its_screen<'a>(bytes: &'a [u8], frame: &[u8; 8]) -> Cow<'a, [u8]> {
    let number = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let side = |at: usize| {
        let end = number(frame, at).saturating_add(number(frame, at + 4));
        number(bytes, SCREEN + at).max(end)
    };
    let screen = [side(0).to_le_bytes(), side(2).to_le_bytes()].concat();
    if bytes[SCREEN..].starts_with(&screen) {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_vec();
    bytes[SCREEN..SCREEN + 4].copy_from_slice(&screen);
    Cow::Owned(bytes)
}

/// Finds the first two frames: left, top, width and height of each. `None` where the file ends before.
fn find_frames<'a>(bytes: &'a [u8], frames: &mut Vec<&'a [u8; 8]>) -> Option<()> {
    let mut at = HEADER_BYTES + colors_bytes(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            b'!' => at += 2,
            b',' => {
                frames.push(bytes.get(at + 1..)?.first_chunk()?);
                let packed = *bytes.get(at + FRAME_HEADER_BYTES)?;
                // One more for the size of the codes.
                at += 1 + FRAME_HEADER_BYTES + colors_bytes(packed) + 1;
            }
            _ => return Some(()),
        }
        if frames.len() > 1 {
            return Some(());
        }
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}

/// Bytes of the table of colours that a packed field announces.
fn colors_bytes(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}
