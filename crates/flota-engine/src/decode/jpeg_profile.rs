//! The colour profile of a JPEG, and whether it is of inks.

use flota_core::ImageFlag;

use super::{
    DecodedImage,
    color::{MAX_PROFILE_BYTES, Profile},
    decoded_image::ColorSettings,
    jpeg_color::Colors,
    raster::{self, Pixels},
};

/// What a profile's segments begin with (ICC.1, annex B.4); a number and a count follow.
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// The parts of a profile, a segment each.
#[derive(Debug, Default)]
pub(super) struct ProfileParts<'a> {
    /// With their numbers.
    parts: Vec<(u8, &'a [u8])>,
    count: u8,
}

impl<'a> ProfileParts<'a> {
    /// Notes an APP2 segment, which may be of something else.
    pub(super) fn note(&mut self, payload: &'a [u8]) {
        if let Some([number, count, part @ ..]) = payload.strip_prefix(PROFILE) {
            self.parts.push((*number, part));
            self.count = *count;
        }
    }

    /// The profile, where all parts of it are there and it is not too large.
    pub(super) fn join(mut self) -> Option<Vec<u8>> {
        self.parts.sort_by_key(|(number, _)| *number);
        let is_whole = !self.parts.is_empty()
            && self.parts.iter().map(|(number, _)| *number).eq(1..=self.count);
        let size_bytes: usize = self.parts.iter().map(|(_, part)| part.len()).sum();
        if !is_whole || size_bytes > MAX_PROFILE_BYTES {
            return None;
        }
        Some(self.parts.into_iter().flat_map(|(_, part)| part).copied().collect())
    }
}

/// Makes of `image`, a JPEG's upright image of `colors` with the profile `icc`, what `settings` ask for,
/// with its flags. That it is upright harms nothing: each pixel is converted by itself.
pub(super) fn manage(
    mut image: DecodedImage,
    colors: Colors,
    icc: Option<&[u8]>,
    settings: ColorSettings,
) -> DecodedImage {
    image.settings = settings;
    let channels = match colors {
        Colors::Cmyk | Colors::Ycck => {
            image.flags.insert(ImageFlag::Cmyk);
            return image;
        }
        Colors::Grey => 1,
        Colors::Ycc | Colors::Rgb => 3,
    };
    let Some(profile) = icc.and_then(|icc| Profile::from_icc(icc, channels)) else {
        return image;
    };
    image.has_profile = true;
    let mut pixels = Pixels::Rgb(std::mem::take(&mut image.pixels));
    image.flags.extend(raster::manage(&profile, settings.management, &mut pixels));
    (image.pixels, _) = raster::flatten(pixels, settings.alpha);
    image
}
