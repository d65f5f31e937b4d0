//! The headers of a bitmap: what it is, or why it is not read.

use super::{DecodeError, ImageFormat, color::Profile, decoded_image::RGB_BYTES};

/// Bytes of the header of the file, before that of the bitmap.
const FILE_HEADER_BYTES: usize = 14;
/// Bytes of the bitmap's header in OS/2 1.x and Windows 2.
const CORE_BYTES: usize = 12;
/// Bytes of the header that Windows 3 has, on which all later ones build.
const INFO_BYTES: usize = 40;
/// Where masks are: within later headers, and behind this one.
const MASKS_AT: usize = FILE_HEADER_BYTES + INFO_BYTES;
/// Bytes of the header that can hold a profile.
const V5_BYTES: usize = 124;
/// A profile of that header is in the file itself.
const EMBEDDED_PROFILE: &[u8] = b"DEBM";

/// What the headers say, checked.
#[derive(Debug)]
pub(super) struct Header {
    pub width: u32,
    pub height: u32,
    /// Whether the first row is the top one.
    pub is_from_top: bool,
    /// Bits of a pixel.
    pub bits: u16,
    pub encoding: Encoding,
    /// Where pixels begin in the file.
    pub data_at: usize,
    colors: Vec<[u8; RGB_BYTES]>,
}

/// How pixels are stored.
#[derive(Debug)]
pub(super) enum Encoding {
    /// Indexes of 1, 2, 4 or 8 bits.
    Palette,
    /// Runs of indexes of 4 or 8 bits.
    RunLength,
    /// Blue, green and red in a byte each; a fourth byte says nothing.
    Bgr,
    /// Red, green, blue and opacity, in 16 or 32 bits.
    Masks([Mask; 4]),
}

/// Where a channel lies in a pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    shift: u32,
    highest: u32,
}

impl Mask {
    fn new(mask: u32) -> Result<Self, DecodeError> {
        let shift = if mask == 0 { 0 } else { mask.trailing_zeros() };
        let highest = mask >> shift;
        if highest & highest.wrapping_add(1) != 0 {
            return Err(DecodeError::unsupported(
                "the BMP has masks with gaps, which are not read",
            ));
        }
        Ok(Self { shift, highest })
    }

    /// The channel of a pixel, of 255.
    pub(super) fn of(self, pixel: u32) -> u8 {
        if self.highest == 0 {
            return 0;
        }
        let (value, highest) =
            (u64::from(pixel >> self.shift & self.highest), u64::from(self.highest));
        ((value * 255 + highest / 2) / highest) as u8
    }
}

impl Header {
    /// Reads the headers of a file.
    ///
    /// # Errors
    /// `Unsupported` with what it is, `Corrupt` for what cannot be.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let cut = || corrupt("the file ends within its header");
        let long = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b));
        let short = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b));
        let header_bytes = long(FILE_HEADER_BYTES).ok_or_else(cut)? as usize;
        let data_at = long(10).ok_or_else(cut)? as usize;
        if header_bytes == CORE_BYTES {
            let field = |at: usize| short(at).ok_or_else(cut);
            let (width, height) = (u32::from(field(18)?), u32::from(field(20)?));
            let bits = field(24)?;
            let colors = Colors { at: FILE_HEADER_BYTES + CORE_BYTES, count: 0, entry_bytes: 3 };
            let header = Self::new((width, height), bits, encoding(bits, 0, true)?, data_at);
            return Ok(header.with_colors(bytes, colors));
        }
        // OS/2 2.x may leave out the end of its 64 bytes.
        if !(16..=V5_BYTES).contains(&header_bytes) {
            return Err(DecodeError::unsupported(format!(
                "the BMP has a header of {header_bytes} bytes, which is not read"
            )));
        }
        let field = |at: usize| match at + 4 <= FILE_HEADER_BYTES + header_bytes {
            true => long(at).ok_or_else(cut),
            false => Ok(0),
        };
        let width = i32::try_from(field(18)?).map_err(|_| corrupt("a width below zero"))?;
        let height = field(22)?.cast_signed();
        let bits = short(28).ok_or_else(cut)?;
        let compression = field(30)?;
        let is_os2 = header_bytes < INFO_BYTES || header_bytes == 64;
        let mut masks_bytes = 0;
        let encoding = match compression {
            3 | 6 if !is_os2 && matches!(bits, 16 | 32) => {
                let count = if compression == 6 { 4 } else { 3 };
                masks_bytes = if header_bytes == INFO_BYTES { 4 * count } else { 0 };
                let is_within = |n: usize| n < count || header_bytes >= INFO_BYTES + 4 * (n + 1);
                let mask = |n: usize| match is_within(n) {
                    true => Mask::new(long(MASKS_AT + 4 * n).ok_or_else(cut)?),
                    false => Mask::new(0),
                };
                Encoding::Masks([mask(0)?, mask(1)?, mask(2)?, mask(3)?])
            }
            compression => encoding(bits, compression, !is_os2)?,
        };
        let colors = Colors {
            at: FILE_HEADER_BYTES + header_bytes + masks_bytes,
            count: field(46)? as usize,
            entry_bytes: 4,
        };
        let mut header =
            Self::new((width.cast_unsigned(), height.unsigned_abs()), bits, encoding, data_at);
        header.is_from_top = height < 0;
        Ok(header.with_colors(bytes, colors))
    }

    fn new((width, height): (u32, u32), bits: u16, encoding: Encoding, data_at: usize) -> Self {
        Self { width, height, is_from_top: false, bits, encoding, data_at, colors: Vec::new() }
    }

    /// Reads the palette. Without an offset, or with one that leaves no room for the palette, pixels
    /// begin behind it, as in Pillow.
    fn with_colors(mut self, bytes: &[u8], colors: Colors) -> Self {
        let Colors { at, count, entry_bytes } = colors;
        let has_palette = self.bits <= 8;
        let most = if has_palette { 1 << self.bits } else { 0 };
        // Colours that other pixels announce are not passed over without an offset: Pillow does not either.
        let count = if count == 0 || !has_palette { most } else { count };
        let is_behind_header = has_palette && self.data_at == at;
        if self.data_at == 0 || is_behind_header {
            self.data_at = at.saturating_add(count.saturating_mul(entry_bytes));
        }
        let entries = bytes.get(at..).unwrap_or_default().chunks_exact(entry_bytes);
        self.colors = entries.take(count.min(most)).map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect();
        self
    }

    /// Red, green and blue of an index; black where the palette has no such.
    pub(super) fn color(&self, index: u8) -> [u8; RGB_BYTES] {
        self.colors.get(usize::from(index)).copied().unwrap_or_default()
    }

    /// Whether pixels have an opacity of their own.
    pub(super) fn has_opacity(&self) -> bool {
        matches!(self.encoding, Encoding::Masks([.., opacity]) if opacity.highest != 0)
    }

    /// The profile that the newest header embeds.
    pub(super) fn profile(&self, bytes: &[u8]) -> Option<Profile> {
        let long = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b));
        let is_embedded = long(FILE_HEADER_BYTES)? as usize == V5_BYTES
            && bytes.get(FILE_HEADER_BYTES + 56..)?.starts_with(EMBEDDED_PROFILE);
        if !is_embedded {
            return None;
        }
        let at = FILE_HEADER_BYTES.checked_add(long(FILE_HEADER_BYTES + 112)? as usize)?;
        let icc = bytes.get(at..)?.get(..long(FILE_HEADER_BYTES + 116)? as usize)?;
        Profile::from_icc(icc, RGB_BYTES)
    }
}

/// Where a palette is.
struct Colors {
    at: usize,
    /// 0: as many as there are indexes.
    count: usize,
    entry_bytes: usize,
}

/// How pixels of `bits` are stored under a number of compression; masks are read elsewhere.
fn encoding(bits: u16, compression: u32, is_windows: bool) -> Result<Encoding, DecodeError> {
    let five = |shift: u32| Mask { shift, highest: 31 };
    let unsupported = |what: String| Err(DecodeError::unsupported(what));
    match (compression, bits) {
        (0, 1 | 2 | 4 | 8) => Ok(Encoding::Palette),
        (0, 16) => Ok(Encoding::Masks([five(10), five(5), five(0), Mask { shift: 0, highest: 0 }])),
        (0, 24 | 32) => Ok(Encoding::Bgr),
        (1, 8) | (2, 4) => Ok(Encoding::RunLength),
        (0, bits) => unsupported(format!("the BMP has {bits} bits a pixel, which is not read")),
        (3, _) if !is_windows => {
            unsupported("the BMP is compressed as a fax, which is not read".into())
        }
        (4, _) if !is_windows => {
            unsupported("the BMP has runs of 24 bits a pixel, which are not read".into())
        }
        (4, _) => unsupported("the BMP is a JPEG inside, which is not read".into()),
        (5, _) => unsupported("the BMP is a PNG inside, which is not read".into()),
        (11..=13, _) => unsupported("the BMP has CMYK colours, which are not read".into()),
        (compression, bits) => unsupported(format!(
            "the BMP has compression {compression} with {bits} bits a pixel, which is not read"
        )),
    }
}

/// A BMP that is cut off or damaged, and how that was seen.
pub(super) fn corrupt(cause: &'static str) -> DecodeError {
    DecodeError::corrupt(ImageFormat::Bmp, cause)
}
