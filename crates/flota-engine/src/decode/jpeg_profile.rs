//! The colour profile of a JPEG, and whether it is of inks.

use flota_core::ImageFlag;

use super::{
    DecodedImage,
    color::{MAX_PROFILE_BYTES, Profile},
    picture::ColorSettings,
    raster::{self, Pixels},
};

/// What a profile's segments begin with (ICC.1, annex B.4); a number and a count follow.
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// What the segments before the first scan say.
#[derive(Default)]
struct Header<'a> {
    component_count: u8,
    /// Parts of the profile with their numbers.
    parts: Vec<(u8, &'a [u8])>,
    part_count: u8,
}

/// Makes of `image`, the upright picture in `bytes`, what `settings` ask for, with its flags. Colours
/// are upright as the rest is: each pixel is converted by itself.
pub(super) fn manage(
    bytes: &[u8],
    mut image: DecodedImage,
    settings: ColorSettings,
) -> DecodedImage {
    let header = Header::read(bytes);
    image.settings = settings;
    if header.component_count == 4 {
        image.flags.insert(ImageFlag::Cmyk);
        return image;
    }
    let channels = if header.component_count == 1 { 1 } else { 3 };
    let Some(profile) = header.icc().and_then(|icc| Profile::from_icc(&icc, channels)) else {
        return image;
    };
    image.has_profile = true;
    let mut pixels = Pixels::Rgb(std::mem::take(&mut image.pixels));
    image.flags.extend(raster::manage(&profile, settings.management, &mut pixels));
    (image.pixels, _) = raster::flatten(pixels, settings.alpha);
    image
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut header = Self::default();
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let Some(at) = memchr::memchr(0xff, rest) {
            rest = &rest[at..];
            let filled = rest.iter().take_while(|byte| **byte == 0xff).count();
            let Some((&marker, after)) = rest[filled..].split_first() else { break };
            rest = after;
            if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
                continue;
            }
            let length = rest.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
            let Some(payload) = rest.get(2..usize::from(length)) else { break };
            match marker {
                0xda => break,
                0xc0..=0xc2 => header.component_count = payload.get(5).copied().unwrap_or(0),
                0xe2 => header.note(payload),
                _ => {}
            }
            rest = &rest[usize::from(length)..];
        }
        header
    }

    fn note(&mut self, payload: &'a [u8]) {
        if let Some([number, count, part @ ..]) = payload.strip_prefix(PROFILE) {
            self.parts.push((*number, part));
            self.part_count = *count;
        }
    }

    /// The profile, where all parts of it are there.
    fn icc(mut self) -> Option<Vec<u8>> {
        self.parts.sort_by_key(|(number, _)| *number);
        let is_whole = !self.parts.is_empty()
            && self.parts.iter().map(|(number, _)| *number).eq(1..=self.part_count);
        let size_bytes: usize = self.parts.iter().map(|(_, part)| part.len()).sum();
        if !is_whole || size_bytes > MAX_PROFILE_BYTES {
            return None;
        }
        Some(self.parts.into_iter().flat_map(|(_, part)| part).copied().collect())
    }
}
