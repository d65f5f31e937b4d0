//! GIF: whether it moves.

use flota_core::{ImageFlag, Limits};

use super::{
    DecodeError, ImageFormat,
    raster::{self, Description, Stored},
};

/// Bytes before the first block, without the colours of all frames.
const HEADER_BYTES: usize = 13;
/// Bytes of a frame's header after the byte that begins it, without its colours.
const FRAME_HEADER_BYTES: usize = 9;

/// Decodes `bytes`, which begin like a GIF.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let mut description = Description::default();
    if has_two_frames(bytes).unwrap_or(false) {
        description.flags.insert(ImageFlag::Animated);
    }
    raster::decode(bytes, ImageFormat::Gif, limits, description)
}

/// `None` where the file ends before a second frame begins.
fn has_two_frames(bytes: &[u8]) -> Option<bool> {
    let mut at = HEADER_BYTES + colors_bytes(*bytes.get(10)?);
    let mut frame_count = 0;
    loop {
        match bytes.get(at)? {
            b'!' => at += 2,
            b',' => {
                frame_count += 1;
                let packed = *bytes.get(at + FRAME_HEADER_BYTES)?;
                // One more for the size of the codes.
                at += 1 + FRAME_HEADER_BYTES + colors_bytes(packed) + 1;
            }
            _ => return Some(false),
        }
        if frame_count > 1 {
            return Some(true);
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
