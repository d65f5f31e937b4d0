//! PNG, read chunk by chunk before anything is decoded.
//!
//! The decoder is given a stream put together anew from the chunks that pixels need. Text and
//! profiles, which may inflate to any size, never reach it; what is needed of them is read here,
//! within bounds. A file that ends after its image but before its last chunk is whole.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use flota_core::{ImageFlag, Limits};

use super::{
    DecodeError, ImageFormat,
    color::{MAX_PROFILE_BYTES, Profile},
    exif,
    raster::{self, Description, Stored},
};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The last chunk, as it always is.
const END: &[u8] = b"\0\0\0\0IEND\xaeB\x60\x82";
/// Most text that is inflated in search of an orientation.
const MAX_RAW_PROFILE_BYTES: u64 = 256 * 1024;
/// The keyword under which ImageMagick keeps EXIF as text.
const RAW_PROFILE: &[u8] = b"Raw profile type exif\0";
/// The bit of the colour type that says that there are colours.
const HAS_COLORS: u8 = 2;

/// Decodes `bytes`, which begin like a PNG.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let mut rest = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    let mut chunks = Chunks::default();
    let mut stream = Vec::with_capacity(bytes.len() + END.len());
    stream.extend_from_slice(SIGNATURE);
    let is_cut_off = loop {
        let Some(chunk) = next(&mut rest) else { break rest.get(4..8) == Some(b"IDAT") };
        match chunk.kind {
            b"CgBI" => {
                let what = "the PNG is in the form of Apple devices (CgBI), which is not read";
                return Err(DecodeError::unsupported(what));
            }
            b"IEND" => break false,
            b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" => stream.extend_from_slice(chunk.whole),
            _ => {}
        }
        chunks.note(&chunk);
    };
    // A decoder must not take the last chunk for what is missing of the image.
    stream.extend_from_slice(if is_cut_off { rest } else { END });
    let copied_bytes = stream.capacity() as u64;
    let description = Description { copied_bytes, ..chunks.description() };
    raster::decode(&stream, ImageFormat::Png, limits, description)
}

struct Chunk<'a> {
    kind: &'a [u8; 4],
    data: &'a [u8],
    /// With its length, type and checksum.
    whole: &'a [u8],
}

/// Takes the next chunk from `rest`; `None` where it is not whole.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Chunk<'a>> {
    let (length, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let whole = rest.get(..length.checked_add(12)?)?;
    *rest = &rest[whole.len()..];
    Some(Chunk { kind: whole[4..].first_chunk()?, data: &whole[8..8 + length], whole })
}

/// What the chunks beside the image say.
#[derive(Default)]
struct Chunks<'a> {
    is_grey: bool,
    has_picture: bool,
    exif: Option<&'a [u8]>,
    /// EXIF as text, without its keyword, and whether it is deflated.
    raw_profile: Option<(&'a [u8], bool)>,
    cicp: Option<(u8, u8)>,
    icc: Option<&'a [u8]>,
    is_srgb: bool,
    gamma: Option<u32>,
    chromaticities: Option<[u32; 8]>,
    frame_count: u32,
    /// Whether the image is itself the first frame of the animation.
    is_first_frame: bool,
}

impl<'a> Chunks<'a> {
    /// Notes what a chunk says; the first of several counts. Colours are described before the
    /// image, EXIF and text anywhere.
    fn note(&mut self, chunk: &Chunk<'a>) {
        let data = chunk.data;
        let number = || data.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match chunk.kind {
            b"IHDR" => self.is_grey = data.get(9).is_some_and(|kind| kind & HAS_COLORS == 0),
            b"IDAT" => self.has_picture = true,
            b"eXIf" if self.exif.is_none() => self.exif = Some(data),
            b"tEXt" | b"zTXt" if self.raw_profile.is_none() => {
                let text = data.strip_prefix(RAW_PROFILE);
                self.raw_profile = text.map(|text| (text, chunk.kind == b"zTXt"));
            }
            _ if self.has_picture => {}
            b"cICP" if self.cicp.is_none() => {
                self.cicp = data.first_chunk().map(|&[primaries, transfer]| (primaries, transfer));
            }
            b"iCCP" if self.icc.is_none() => self.icc = Some(data),
            b"sRGB" => self.is_srgb = true,
            b"gAMA" if self.gamma.is_none() => self.gamma = number(),
            b"cHRM" if self.chromaticities.is_none() => {
                let values = data.as_chunks::<4>().0.first_chunk::<8>();
                self.chromaticities = values.map(|values| values.map(u32::from_be_bytes));
            }
            b"acTL" if self.frame_count == 0 => self.frame_count = number().unwrap_or_default(),
            b"fcTL" => self.is_first_frame = true,
            _ => {}
        }
    }

    fn description(&self) -> Description {
        let orientation = match (self.exif, self.raw_profile) {
            (Some(exif), _) => exif::orientation(exif),
            (None, Some((text, is_deflated))) => {
                raw_profile(text, is_deflated).and_then(|exif| exif::orientation(&exif))
            }
            (None, None) => None,
        };
        // One frame that is not the image is shown in its place.
        let is_animated = self.frame_count > 1 || (self.frame_count == 1 && !self.is_first_frame);
        let flags = is_animated.then_some(ImageFlag::Animated).into_iter().collect();
        Description { orientation, profile: self.profile(), flags, copied_bytes: 0 }
    }

    /// The order is that of the specification: `cICP`, `iCCP`, `sRGB`, `gAMA` and `cHRM`.
    fn profile(&self) -> Option<Profile> {
        let cicp =
            self.cicp.and_then(|(primaries, transfer)| Profile::from_cicp(primaries, transfer));
        let icc = || self.icc.and_then(|data| icc_profile(data, self.is_grey));
        if let Some(profile) = cicp.or_else(icc) {
            return Some(profile);
        }
        let is_described = self.gamma.is_some() || self.chromaticities.is_some();
        if self.is_srgb || !is_described {
            return None;
        }
        Profile::from_png(self.gamma, self.chromaticities)
    }
}

/// The profile in an `iCCP` chunk: a name, a method, and the deflated profile.
fn icc_profile(data: &[u8], is_grey: bool) -> Option<Profile> {
    let name_bytes = memchr::memchr(0, data)?;
    let deflated = data.get(name_bytes + 2..)?;
    let icc = inflate(deflated, MAX_PROFILE_BYTES as u64)?;
    Profile::from_icc(&icc, if is_grey { 1 } else { 3 })
}

/// The EXIF in a text chunk of ImageMagick: a line break, a name, a length, and digits on lines.
fn raw_profile(text: &[u8], is_deflated: bool) -> Option<Vec<u8>> {
    let text = match is_deflated {
        true => inflate(text.get(1..)?, MAX_RAW_PROFILE_BYTES)?,
        false => text.get(..MAX_RAW_PROFILE_BYTES.min(text.len() as u64) as usize)?.to_vec(),
    };
    let mut lines = text.split(|byte| *byte == b'\n').skip(3);
    let digits: Vec<u8> = lines
        .by_ref()
        .flatten()
        .map_while(|byte| char::from(*byte).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    Some(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Inflates `deflated`; `None` beyond `max_bytes` and for what is damaged.
fn inflate(deflated: &[u8], max_bytes: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(deflated).take(max_bytes + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= max_bytes).then_some(bytes)
}
