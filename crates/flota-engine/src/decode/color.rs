//! What an image's colours mean: profiles, and how far they are from sRGB.
//!
//! Models are given the stored values, as Pillow and torchvision give them. A browser applies the
//! profile, so that people may see another image: how far is measured here, and told as a flag.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use flota_core::{ImageFlag, Sha256};
use moxcms::{
    Chromaticity, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    ParsingOptions, RenderingIntent, ToneReprCurve, TransformOptions,
};

/// Largest profile that is looked at. Profiles of printers have two megabytes.
pub(super) const MAX_PROFILE_BYTES: usize = 4 * 1024 * 1024;
/// Most entries of a profile's table of colours: 65 steps of three channels are 823,875.
const MAX_TABLE_ENTRIES: usize = 1_000_000;
/// Steps of a channel at which profiles are compared with sRGB.
const STEPS: [u8; 6] = [0, 51, 102, 153, 204, 255];
/// Mean difference from sRGB, of 255, up to which nobody sees one: sRGB itself, written in another
/// way, differs by less than one.
const MIN_VISIBLE: f64 = 1.5;
/// Mean difference from sRGB, of 255, from which it is another image. By LittleCMS, Display P3 has
/// 10, Adobe RGB 9, a gamma of 1.8 has 10, one of 1 has 36, and red exchanged with blue has 67.
const MIN_SHIFTED: f64 = 32.0;
/// Pixels that are converted at once: few enough for the nearest cache.
const CONVERTED_AT_ONCE: usize = 4_096;

/// Most profiles whose flags are remembered: cameras and programs write a few dozen.
const MAX_REMEMBERED: usize = 256;

/// The flags of ICC profiles by their hashes: to measure one takes longer than to decode a small image,
/// and nearly all images have one of a few.
static REMEMBERED: Mutex<BTreeMap<Sha256, Option<ImageFlag>>> = Mutex::new(BTreeMap::new());

/// The profile of an image.
pub(super) struct Profile {
    colors: Box<ColorProfile>,
    /// The hash of the ICC profile that it was read from.
    icc: Option<Sha256>,
}

impl Profile {
    /// Reads an ICC profile of an image with `channels` of colour, 1 or 3. `None` for what is damaged,
    /// too large or of other channels, which browsers ignore as well.
    pub(super) fn from_icc(icc: &[u8], channels: usize) -> Option<Self> {
        if icc.len() > MAX_PROFILE_BYTES {
            return None;
        }
        let options = ParsingOptions {
            max_profile_size: MAX_PROFILE_BYTES + 1,
            max_allowed_clut_size: MAX_TABLE_ENTRIES,
            ..ParsingOptions::default()
        };
        let profile = ColorProfile::new_from_slice_with_options(icc, options).ok()?;
        let is_fitting = match profile.color_space {
            DataColorSpace::Rgb => true,
            DataColorSpace::Gray => channels == 1,
            _ => false,
        };
        is_fitting.then(|| Self { colors: Box::new(profile), icc: Some(Sha256::of(icc)) })
    }

    /// The profile that a PNG describes by its gamma and primaries, as `gAMA` and `cHRM` have them,
    /// in units of 1/100,000. Where one is missing it is that of sRGB.
    pub(super) fn from_png(gamma: Option<u32>, chromaticities: Option<[u32; 8]>) -> Option<Self> {
        let unit = |value: u32| value as f32 / 100_000.0;
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        if let Some(gamma) = gamma {
            let curve = ToneReprCurve::Parametric(vec![1.0 / unit(gamma)]);
            (gamma > 0).then_some(())?;
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
        }
        if let Some(values) = chromaticities {
            let [wx, wy, rx, ry, gx, gy, bx, by] = values.map(unit);
            if [wy, ry, gy, by].contains(&0.0) {
                return None;
            }
            let primaries = ColorPrimaries {
                red: Chromaticity::new(rx, ry),
                green: Chromaticity::new(gx, gy),
                blue: Chromaticity::new(bx, by),
            };
            profile.update_rgb_colorimetry(Chromaticity::new(wx, wy).to_xyyb(), primaries);
        }
        Some(Self { colors: Box::new(profile), icc: None })
    }

    /// The profile that a PNG names by the numbers of ITU-T H.273, in `cICP`.
    pub(super) fn from_cicp(primaries: u8, transfer: u8) -> Option<Self> {
        let cicp = CicpProfile {
            color_primaries: primaries.try_into().ok()?,
            transfer_characteristics: transfer.try_into().ok()?,
            matrix_coefficients: moxcms::MatrixCoefficients::Identity,
            full_range: true,
        };
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        // What it returns says nothing: it is `false` for numbers that are known, too.
        profile.update_rgb_colorimetry_from_cicp(cicp);
        profile.cicp.is_some().then(|| Self { colors: Box::new(profile), icc: None })
    }

    /// Which flag an image has that is shown without this profile.
    pub(super) fn flag(&self) -> Option<ImageFlag> {
        let Some(icc) = self.icc else { return self.measure() };
        if let Some(flag) = remembered().get(&icc) {
            return *flag;
        }
        let flag = self.measure();
        let mut remembered = remembered();
        if remembered.len() == MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(icc, flag);
        flag
    }

    fn measure(&self) -> Option<ImageFlag> {
        let is_grey = self.colors.color_space == DataColorSpace::Gray;
        let mut colors = Vec::with_capacity(3 * STEPS.len().pow(3));
        for red in STEPS {
            match is_grey {
                true => colors.extend([red; 3]),
                false => {
                    let pairs = STEPS.into_iter().flat_map(|g| STEPS.map(|b| [red, g, b]));
                    colors.extend(pairs.flatten());
                }
            }
        }
        let mut converted = colors.clone();
        self.apply::<3>(&mut converted)?;
        let distances = colors.iter().zip(&converted).map(|(a, b)| f64::from(a.abs_diff(*b)));
        match distances.sum::<f64>() / colors.len() as f64 {
            mean if mean < MIN_VISIBLE => None,
            mean if mean < MIN_SHIFTED => Some(ImageFlag::ColorProfile),
            _ => Some(ImageFlag::ColorShifted),
        }
    }

    /// Converts pixels of `CHANNELS` bytes, three or four, to sRGB. `None`, with the pixels as they
    /// were, for a profile that cannot be applied.
    pub(super) fn apply<const CHANNELS: usize>(&self, pixels: &mut [u8]) -> Option<()> {
        let options = TransformOptions {
            rendering_intent: RenderingIntent::Perceptual,
            allow_use_cicp_transfer: false,
            ..TransformOptions::default()
        };
        let srgb = ColorProfile::new_srgb();
        if self.colors.color_space == DataColorSpace::Gray {
            let greys: Vec<u8> = (0..=u8::MAX).collect();
            let mut table = vec![0; 3 * greys.len()];
            let transform = self
                .colors
                .create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, options)
                .ok()?;
            transform.transform(&greys, &mut table).ok()?;
            let (table, _) = table.as_chunks::<3>();
            for pixel in pixels.as_chunks_mut::<CHANNELS>().0 {
                let grey = table[usize::from(pixel[0])];
                pixel[..3].copy_from_slice(&grey);
            }
            return Some(());
        }
        let layout = if CHANNELS == 4 { Layout::Rgba } else { Layout::Rgb };
        let transform = self.colors.create_transform_8bit(layout, &srgb, layout, options).ok()?;
        let mut stored = Vec::with_capacity(CHANNELS * CONVERTED_AT_ONCE);
        for part in pixels.chunks_mut(CHANNELS * CONVERTED_AT_ONCE) {
            stored.clear();
            stored.extend_from_slice(part);
            transform.transform(&stored, part).ok()?;
        }
        Some(())
    }
}

fn remembered() -> MutexGuard<'static, BTreeMap<Sha256, Option<ImageFlag>>> {
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({:?})", self.colors.color_space)
    }
}
