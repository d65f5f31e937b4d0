//! The one value of EXIF that decoding needs: which way up the image is.
//!
//! JPEG, PNG and WebP carry EXIF in different envelopes, and what is inside is a TIFF directory. EXIF
//! that cannot be read never fails an image: it is then upright as stored.

use image::metadata::Orientation;

/// What stands before EXIF in a JPEG, and by habit in WebP and PNG too.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";
/// The tag of the orientation.
const ORIENTATION: u16 = 274;
const ENTRY_BYTES: usize = 12;

/// The orientation that `exif` names, with or without its prefix; `None` where it names none from 1
/// to 8 in a whole number.
pub(super) fn orientation(exif: &[u8]) -> Option<Orientation> {
    let exif = exif.strip_prefix(PREFIX).unwrap_or(exif);
    let is_big_endian = match exif.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let number = |at: usize, bytes: usize| -> Option<u32> {
        let field = exif.get(at..at.checked_add(bytes)?)?;
        let shifted = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        Some(match is_big_endian {
            true => field.iter().fold(0, shifted),
            false => field.iter().rev().fold(0, shifted),
        })
    };
    let directory = number(4, 4)? as usize;
    let entry_count = number(directory, 2)? as usize;
    let entry = |index: usize| directory.checked_add(2 + index * ENTRY_BYTES);
    for at in (0..entry_count).map_while(entry) {
        if number(at, 2)? != u32::from(ORIENTATION) {
            continue;
        }
        // SHORT and LONG, with and without a sign; a byte is none of them for anybody else either.
        let value_bytes = match number(at + 2, 2)? {
            3 | 8 => 2,
            4 | 9 => 4,
            _ => return None,
        };
        // Of several values the first counts, where they stand in the entry itself.
        let value_count = number(at + 4, 4)?;
        if !(1..=4 / value_bytes as u32).contains(&value_count) {
            return None;
        }
        return Orientation::from_exif(u8::try_from(number(at + 8, value_bytes)?).ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with an entry of `kind` and `count`, whose value is `value`.
    fn exif(is_big_endian: bool, kind: u16, count: u32, value: u32) -> Vec<u8> {
        let short = |v: u16| if is_big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if is_big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut bytes = if is_big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        bytes.extend(long(10));
        bytes.extend([9, 9]);
        bytes.extend(short(2));
        for (tag, kind, count, value) in [(271, 3, 1, 7), (ORIENTATION, kind, count, value)] {
            bytes.extend([short(tag), short(kind)].concat());
            bytes.extend(long(count));
            match kind {
                3 | 8 => bytes.extend([short(value as u16), [0; 2]].concat()),
                _ => bytes.extend(long(value)),
            }
        }
        bytes
    }

    #[test]
    fn an_orientation_is_read_in_both_byte_orders_and_every_whole_type() {
        for is_big_endian in [false, true] {
            for kind in [3, 4, 8, 9] {
                for value in 1..=8 {
                    let bytes = exif(is_big_endian, kind, 1, value);
                    let expected = Orientation::from_exif(value as u8);
                    assert_eq!(orientation(&bytes), expected, "type {kind}");
                    assert_eq!(orientation(&[PREFIX, &bytes].concat()), expected);
                }
                for value in [0, 9, 65_535] {
                    assert_eq!(orientation(&exif(is_big_endian, kind, 1, value)), None);
                }
            }
            assert_eq!(orientation(&exif(is_big_endian, 4, 1, 0x1_0006)), None);
            assert_eq!(orientation(&exif(is_big_endian, 3, 2, 6)), Orientation::from_exif(6));
            assert_eq!(orientation(&exif(is_big_endian, 4, 2, 6)), None, "elsewhere");
            assert_eq!(orientation(&exif(is_big_endian, 3, 0, 6)), None, "no value");
            assert_eq!(orientation(&exif(is_big_endian, 2, 1, 6)), None, "text");
        }
    }

    #[test]
    fn what_is_no_exif_says_nothing() {
        let whole = exif(false, 3, 1, 6);
        for length in 0..whole.len() - 2 {
            assert_eq!(orientation(&whole[..length]), None, "cut to {length}");
        }
        let mut far = whole.clone();
        far[4..8].fill(0xff);
        assert_eq!(orientation(&far), None);
        let mut many = whole;
        many[10..12].fill(0xff);
        assert!(orientation(&many).is_some(), "the entry comes before the end");
        assert_eq!(orientation(b"Exif\0\0"), None);
    }
}
