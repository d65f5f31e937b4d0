//! What the fields of a TIFF say of its image, checked; what is not read is refused by name.

use super::directory::{Directory, EXTRA_SAMPLES, corrupt};
use crate::DecodeError;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const STRIP_BYTES: u16 = 279;
const PLANAR: u16 = 284;
const FAX_OPTIONS: u16 = 292;
const PREDICTOR: u16 = 317;
const PALETTE: u16 = 320;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;
const INK_SET: u16 = 332;
const SAMPLE_FORMAT: u16 = 339;
const JPEG_TABLES: u16 = 347;
/// The version of Adobe's format for what cameras saw, which is a TIFF.
const DNG_VERSION: u16 = 50_706;
/// Fields on which the pixels depend, of one value each.
const SINGLE_FIELDS: &[u16] = &[
    WIDTH,
    HEIGHT,
    COMPRESSION,
    PHOTOMETRIC,
    FILL_ORDER,
    SAMPLES,
    ROWS_PER_STRIP,
    PLANAR,
    FAX_OPTIONS,
    PREDICTOR,
    TILE_WIDTH,
    TILE_HEIGHT,
    INK_SET,
];
/// Such of several values. libtiff writes the bits of each sample behind the pixels, so that a file that lacks its
/// last bytes would be read as one of another depth.
const SEVERAL_FIELDS: &[u16] = &[
    BITS,
    STRIP_OFFSETS,
    STRIP_BYTES,
    PALETTE,
    TILE_OFFSETS,
    TILE_BYTES,
    EXTRA_SAMPLES,
    SAMPLE_FORMAT,
];

/// Most samples of a pixel: colours, opacity and some that are ignored.
const MAX_SAMPLES: u64 = 16;
/// Most strips or tiles: each costs a decoder of its own.
const MAX_CHUNKS: u64 = 1 << 18;

/// How an image is stored.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub width: u32,
    pub height: u32,
    pub photometric: Photometric,
    pub opacity: Option<Opacity>,
    pub samples: usize,
    pub sample: Sample,
    pub compression: Compression<'a>,
    /// Whether the bits of each byte are stored the other way round.
    pub is_reversed: bool,
    pub predictor: Predictor,
    /// Whether each sample has chunks of its own.
    pub is_planar: bool,
    /// Sides of a strip or tile.
    pub chunk: (u32, u32),
    pub is_tiled: bool,
    pub chunk_places: Vec<(u64, u64)>,
}

/// What the samples of a pixel are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette(Vec<[u8; 3]>),
    Cmyk,
    /// In a JPEG, whose decoder makes red, green and blue of it.
    YcbcrInJpeg,
}

impl Photometric {
    pub(super) fn color_samples(&self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette(_) => 1,
            Self::Rgb | Self::YcbcrInJpeg => 3,
            Self::Cmyk => 4,
        }
    }
}

/// What the sample behind the colours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opacity {
    /// Colours are multiplied by it.
    Associated,
    Unassociated,
}

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// A whole number of 1 to 16 bits.
    Bits(u8),
    /// Floating point of 32 or 64 bits, from 0 to 1.
    Float(u8),
}

impl Sample {
    pub(super) fn bits(self) -> usize {
        match self {
            Self::Bits(bits) | Self::Float(bits) => usize::from(bits),
        }
    }
}

/// How chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression<'a> {
    None,
    Lzw,
    Deflate,
    PackBits,
    Group3,
    Group4,
    /// With the tables that all chunks share.
    Jpeg(Option<&'a [u8]>),
}

/// What was done to samples before they were compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    Horizontal,
    FloatingPoint,
}

impl<'a> Layout<'a> {
    /// # Errors
    /// `Unsupported` with what it is, `Corrupt` for what cannot be.
    pub(super) fn read(fields: &Directory<'a>) -> Result<Self, DecodeError> {
        if fields.has(DNG_VERSION) {
            return Err(unsupported("a camera's raw image (DNG)"));
        }
        if let Some(tag) = fields.unreadable(SINGLE_FIELDS, SEVERAL_FIELDS) {
            return Err(corrupt(format!("field {tag} cannot be read")));
        }
        if fields.is_there(JPEG_TABLES) && !fields.has(JPEG_TABLES) {
            return Err(corrupt("tables of a JPEG that cannot be read"));
        }
        let side = |tag: u16| fields.number(tag).and_then(|side| u32::try_from(side).ok());
        let (Some(width), Some(height)) = (side(WIDTH), side(HEIGHT)) else {
            return Err(corrupt("no width or height"));
        };
        if width == 0 || height == 0 {
            return Err(corrupt("a width or height of 0"));
        }
        let compression = compression(fields)?;
        let samples = fields.number(SAMPLES).unwrap_or(1);
        if !(1..=MAX_SAMPLES).contains(&samples) {
            return Err(unsupported(&format!("{samples} samples a pixel")));
        }
        let samples = samples as usize;
        let sample = sample(fields)?;
        let photometric = photometric(fields, sample, compression)?;
        let colors = photometric.color_samples();
        if samples < colors {
            return Err(corrupt("fewer samples than colours"));
        }
        let mut layout = Self {
            width,
            height,
            opacity: opacity(fields, &photometric, samples),
            photometric,
            samples,
            sample,
            compression,
            is_reversed: fields.number(FILL_ORDER) == Some(2),
            predictor: predictor(fields, sample, compression)?,
            is_planar: fields.number(PLANAR) == Some(2) && samples > 1,
            chunk: (width, height),
            is_tiled: fields.has(TILE_WIDTH) && fields.has(TILE_OFFSETS),
            chunk_places: Vec::new(),
        };
        if let Compression::Jpeg(_) = compression {
            layout.check_jpeg()?;
        }
        layout.read_chunks(fields)?;
        Ok(layout)
    }

    fn check_jpeg(&self) -> Result<(), DecodeError> {
        let is_read = match self.photometric {
            Photometric::Rgb | Photometric::YcbcrInJpeg => self.samples == 3,
            Photometric::WhiteIsZero | Photometric::BlackIsZero => self.samples == 1,
            Photometric::Palette(_) | Photometric::Cmyk => false,
        };
        if !is_read {
            return Err(unsupported("a JPEG inside that is not grey, RGB or YCbCr"));
        }
        // Each plane is a JPEG of one component, whose decoder makes no colours of it.
        if self.is_planar && self.photometric == Photometric::YcbcrInJpeg {
            return Err(unsupported("YCbCr colours in planes of their own"));
        }
        match self.sample {
            Sample::Bits(8) => Ok(()),
            _ => Err(unsupported("a JPEG inside of other than 8 bits a sample")),
        }
    }

    fn read_chunks(&mut self, fields: &Directory<'_>) -> Result<(), DecodeError> {
        let side = |tag: u16, most: u32| {
            let side = fields.number(tag).unwrap_or(u64::from(most));
            u32::try_from(side).ok().filter(|side| *side > 0)
        };
        let no_side = || corrupt("strips or tiles without a size");
        let (offsets, lengths) = if self.is_tiled {
            let (width, height) = (side(TILE_WIDTH, 0), side(TILE_HEIGHT, 0));
            self.chunk = (width.ok_or_else(no_side)?, height.ok_or_else(no_side)?);
            (TILE_OFFSETS, TILE_BYTES)
        } else {
            // More rows than there are is how a single strip is said.
            let rows = fields.number(ROWS_PER_STRIP).unwrap_or_default();
            let rows = if rows == 0 { u64::from(self.height) } else { rows };
            self.chunk = (self.width, rows.min(u64::from(self.height)) as u32);
            (STRIP_OFFSETS, STRIP_BYTES)
        };
        let planes = if self.is_planar { self.samples as u64 } else { 1 };
        let (across, down) = self.chunk_counts();
        let chunk_count = (u64::from(across) * u64::from(down)).saturating_mul(planes);
        if chunk_count > MAX_CHUNKS {
            return Err(unsupported(&format!("more than {MAX_CHUNKS} strips or tiles")));
        }
        let chunk_count = chunk_count as usize;
        let offsets = fields.numbers(offsets, chunk_count);
        if offsets.len() < chunk_count {
            return Err(corrupt("fewer strips or tiles than the image has"));
        }
        let lengths = match fields.numbers(lengths, chunk_count) {
            lengths if lengths.is_empty() => lengths_between(&offsets, fields.file_bytes()),
            lengths if lengths.len() == chunk_count => lengths,
            _ => return Err(corrupt("strips or tiles without a length")),
        };
        self.chunk_places = offsets.into_iter().zip(lengths).collect();
        Ok(())
    }

    /// Samples of a pixel that a chunk has.
    pub(super) fn chunk_samples(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Bytes of a row of a chunk, once it is decompressed.
    pub(super) fn row_bytes(&self) -> usize {
        (self.chunk.0 as usize * self.chunk_samples() * self.sample.bits()).div_ceil(8)
    }

    /// Chunks side by side, and one below the other.
    pub(super) fn chunk_counts(&self) -> (u32, u32) {
        (self.width.div_ceil(self.chunk.0), self.height.div_ceil(self.chunk.1))
    }
}

/// How long chunks at `offsets` are that do not say it, as in old files: each ends where another begins,
/// the last with the file.
fn lengths_between(offsets: &[u64], file_bytes: u64) -> Vec<u64> {
    let mut ends = offsets.to_vec();
    ends.push(file_bytes);
    ends.sort_unstable();
    let length = |at: &u64| {
        let next = ends.partition_point(|end| end <= at);
        ends.get(next).map_or(0, |end| end.min(&file_bytes).saturating_sub(*at))
    };
    offsets.iter().map(length).collect()
}

fn unsupported(what: &str) -> DecodeError {
    DecodeError::unsupported(format!("the TIFF has {what}, which is not read"))
}

fn compression<'a>(fields: &Directory<'a>) -> Result<Compression<'a>, DecodeError> {
    let name = match fields.number(COMPRESSION).unwrap_or(1) {
        1 => return Ok(Compression::None),
        3 if fields.number(FAX_OPTIONS).unwrap_or_default() & 1 == 0 => {
            return Ok(Compression::Group3);
        }
        4 => return Ok(Compression::Group4),
        5 => return Ok(Compression::Lzw),
        7 => return Ok(Compression::Jpeg(fields.bytes(JPEG_TABLES))),
        8 | 32_946 => return Ok(Compression::Deflate),
        32_773 => return Ok(Compression::PackBits),
        2 => "CCITT run lengths",
        3 => "two-dimensional Group 3 fax data",
        6 => "a JPEG inside in the way of before 1995",
        34_661 => "JBIG data",
        34_712 => "a JPEG 2000 inside",
        34_887 => "LERC data",
        34_925 => "LZMA data",
        50_000 => "Zstandard data",
        50_001 => "a WebP inside",
        50_002 | 52_546 => "a JPEG XL inside",
        other => return Err(unsupported(&format!("compression {other}"))),
    };
    Err(unsupported(name))
}

fn sample(fields: &Directory<'_>) -> Result<Sample, DecodeError> {
    let bits = fields.numbers(BITS, MAX_SAMPLES as usize);
    let first = bits.first().copied().unwrap_or(1);
    if bits.iter().any(|bits| *bits != first) {
        return Err(unsupported("samples of different sizes"));
    }
    let formats = fields.numbers(SAMPLE_FORMAT, MAX_SAMPLES as usize);
    let format = formats.first().copied().unwrap_or(1);
    if formats.iter().any(|other| *other != format) {
        return Err(unsupported("samples of different kinds"));
    }
    match (format, first) {
        (1 | 4, 1..=16) => Ok(Sample::Bits(first as u8)),
        (3, 32 | 64) => Ok(Sample::Float(first as u8)),
        (1 | 4, _) => Err(unsupported(&format!("samples of {first} bits"))),
        (2, _) => Err(unsupported("samples with a sign")),
        (3, _) => Err(unsupported(&format!("floating point of {first} bits"))),
        _ => Err(unsupported("complex numbers")),
    }
}

fn photometric(
    fields: &Directory<'_>,
    sample: Sample,
    compression: Compression<'_>,
) -> Result<Photometric, DecodeError> {
    let name = match fields.number(PHOTOMETRIC) {
        Some(0) => return Ok(Photometric::WhiteIsZero),
        Some(1) => return Ok(Photometric::BlackIsZero),
        Some(2) => return Ok(Photometric::Rgb),
        Some(3) => return palette(fields, sample),
        Some(5) if fields.number(INK_SET).unwrap_or(1) == 1 => return Ok(Photometric::Cmyk),
        Some(6) if matches!(compression, Compression::Jpeg(_)) => {
            return Ok(Photometric::YcbcrInJpeg);
        }
        // Fax data are of black on white, whatever is left out.
        None if matches!(compression, Compression::Group3 | Compression::Group4) => {
            return Ok(Photometric::WhiteIsZero);
        }
        None => return Err(corrupt("nothing that says what samples are")),
        Some(4) => "a mask as its first page",
        Some(5) => "inks other than CMYK",
        Some(6) => "YCbCr colours outside a JPEG",
        Some(8..=10) => "CIE L*a*b* colours",
        Some(32_844 | 32_845) => "LogLuv colours",
        Some(32_803 | 34_892) => "a camera's raw image",
        Some(other) => return Err(unsupported(&format!("colours of kind {other}"))),
    };
    Err(unsupported(name))
}

fn palette(fields: &Directory<'_>, sample: Sample) -> Result<Photometric, DecodeError> {
    let Sample::Bits(bits @ 1..=8) = sample else {
        return Err(unsupported("a palette of other than 1 to 8 bits"));
    };
    let count = 1 << bits;
    let values = fields.numbers(PALETTE, 3 * count);
    if values.len() < 3 * count {
        return Err(corrupt("a palette that is too short"));
    }
    // Some writers put bytes where 16 bits belong, as libtiff knows.
    let shift = if values.iter().all(|value| *value < 256) { 0 } else { 8 };
    let color = |index: usize| [0, 1, 2].map(|n| (values[n * count + index] >> shift) as u8);
    Ok(Photometric::Palette((0..count).map(color).collect()))
}

/// What the sample behind the colours is, as Pillow reads it: RGB with a fourth sample that nothing
/// is said of has an opacity.
fn opacity(fields: &Directory<'_>, photometric: &Photometric, samples: usize) -> Option<Opacity> {
    if samples <= photometric.color_samples() {
        return None;
    }
    match fields.number(EXTRA_SAMPLES) {
        Some(1) => Some(Opacity::Associated),
        Some(2 | 999) => Some(Opacity::Unassociated),
        None if *photometric == Photometric::Rgb && samples == 4 => Some(Opacity::Unassociated),
        _ => None,
    }
}

/// As in libtiff, only some compressions have a predictor; elsewhere the field says nothing.
fn predictor(
    fields: &Directory<'_>,
    sample: Sample,
    compression: Compression<'_>,
) -> Result<Predictor, DecodeError> {
    if !matches!(compression, Compression::Lzw | Compression::Deflate) {
        return Ok(Predictor::None);
    }
    match (fields.number(PREDICTOR).unwrap_or(1), sample) {
        (1, _) => Ok(Predictor::None),
        (2, Sample::Bits(8 | 16)) | (2, Sample::Float(32)) => Ok(Predictor::Horizontal),
        (2, _) => Err(unsupported("a predictor of samples that are not whole bytes")),
        (3, Sample::Float(_)) => Ok(Predictor::FloatingPoint),
        (3, _) => Err(unsupported("a floating-point predictor of whole numbers")),
        (other, _) => Err(unsupported(&format!("predictor {other}"))),
    }
}
