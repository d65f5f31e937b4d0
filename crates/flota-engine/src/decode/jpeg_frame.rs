//! What a JPEG's headers say of its image, and which of it the scans have sent.

use super::{DecodeError, ImageFormat, error::Cause};

/// Bytes of a coefficient, where all are kept until the last scan.
pub(super) const COEFFICIENT_BYTES: u64 = 2;
/// Coefficients of a block.
pub(super) const BLOCK: usize = 64;

/// What a start-of-frame segment says, and what the scans have sent so far.
#[derive(Debug)]
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    pub is_progressive: bool,
    /// Whether the decoder keeps all coefficients until the last scan: not only of progressive
    /// images, but wherever a scan has a part of the components.
    pub keeps_coefficients: bool,
    components: Vec<Component>,
}

#[derive(Debug)]
struct Component {
    id: u8,
    horizontal: u32,
    vertical: u32,
    /// The lowest bit that was sent of each coefficient, by progressive scans.
    lowest_bit: [Option<u8>; BLOCK],
    /// Whether a scan has sent this component and no other.
    is_sent_alone: bool,
}

/// What a scan header says.
#[derive(Debug)]
pub(super) struct Scan {
    /// The places of its components in the frame.
    pub components: Vec<usize>,
    /// How many units (T.81: MCU) it must have.
    pub unit_count: u64,
}

impl Frame {
    /// Reads a frame header.
    ///
    /// # Errors
    /// `Unsupported` for other than 8 bits and 1, 3 or 4 components, `Corrupt` for what cannot be.
    pub(super) fn read(payload: &[u8], is_progressive: bool) -> Result<Self, DecodeError> {
        let &[precision, h1, h0, w1, w0, count, ref components @ ..] = payload else {
            return Err(corrupt("a frame header that is too short"));
        };
        if precision != 8 {
            return Err(DecodeError::unsupported(format!(
                "the JPEG has {precision} bits a sample, and only 8 are read"
            )));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(DecodeError::unsupported(format!(
                "the JPEG has {count} components, and only 1, 3 or 4 are read"
            )));
        }
        let (components, rest) = components.as_chunks::<3>();
        if components.len() != usize::from(count) || !rest.is_empty() {
            return Err(corrupt("a frame header of a wrong length"));
        }
        let components: Vec<Component> = components
            .iter()
            .map(|[id, sampling, _]| Component {
                id: *id,
                horizontal: u32::from(sampling >> 4),
                vertical: u32::from(sampling & 15),
                lowest_bit: [None; BLOCK],
                is_sent_alone: false,
            })
            .collect();
        let is_allowed =
            |c: &Component| (1..=4).contains(&c.horizontal) && (1..=4).contains(&c.vertical);
        if !components.iter().all(is_allowed) {
            return Err(corrupt("a sampling factor that is not from 1 to 4"));
        }
        let frame = Self {
            width: u32::from(u16::from_be_bytes([w1, w0])),
            height: u32::from(u16::from_be_bytes([h1, h0])),
            is_progressive,
            keeps_coefficients: is_progressive,
            components,
        };
        frame.check_sampling()?;
        Ok(frame)
    }

    /// Refuses factors that do not divide the largest, as libjpeg does: few encoders write them,
    /// and no decoder at hand interpolates by such parts.
    fn check_sampling(&self) -> Result<(), DecodeError> {
        let (widest, tallest) = self.largest_factors();
        let divides = |c: &Component| {
            widest.is_multiple_of(c.horizontal) && tallest.is_multiple_of(c.vertical)
        };
        if self.components.iter().all(divides) {
            return Ok(());
        }
        let what = format!(
            "the JPEG has components sampled {}, and only factors that divide the largest are read",
            self.factors()
        );
        Err(DecodeError::unsupported(what))
    }

    /// Notes what the scan with this header sends.
    pub(super) fn scan(&mut self, header: &[u8]) -> Result<Scan, DecodeError> {
        let damaged = || corrupt("a damaged scan header");
        let (&count, selectors) = header.split_first().ok_or_else(damaged)?;
        let (selectors, spectral) =
            selectors.split_at_checked(2 * usize::from(count)).ok_or_else(damaged)?;
        let &[first, last, successive] = spectral else { return Err(damaged()) };
        let (coefficients, bit) = match self.is_progressive {
            true => (usize::from(first)..=usize::from(last), successive & 15),
            false => (0..=BLOCK - 1, 0),
        };
        let mut components = Vec::with_capacity(usize::from(count));
        for selector in selectors.chunks_exact(2) {
            // Two components may have the same id: then their order tells them apart.
            let is_meant = |index: &usize| {
                self.components[*index].id == selector[0] && !components.contains(index)
            };
            let index = (0..self.components.len()).find(is_meant).ok_or_else(damaged)?;
            if !self.is_progressive && self.components[index].lowest_bit[0].is_some() {
                return Err(DecodeError::unsupported("the JPEG sends a component twice"));
            }
            let sent = self.components[index].lowest_bit.get_mut(coefficients.clone());
            sent.ok_or_else(damaged)?.fill(Some(bit));
            components.push(index);
        }
        if let [only] = components[..] {
            self.components[only].is_sent_alone = true;
        }
        self.keeps_coefficients |= components.len() < self.components.len();
        let unit_count = self.scan_unit_count(&components);
        Ok(Scan { components, unit_count })
    }

    /// Whether every component has been sent, however coarsely.
    pub(super) fn is_begun(&self) -> bool {
        self.components.iter().all(|component| component.lowest_bit[0].is_some())
    }

    /// Whether every coefficient has been sent to its last bit.
    pub(super) fn is_refined(&self) -> bool {
        self.components.iter().flat_map(|c| c.lowest_bit).all(|bit| bit == Some(0))
    }

    /// How many components a pixel has: 1, 3 or 4.
    pub(super) fn component_count(&self) -> usize {
        self.components.len()
    }

    /// How many blocks a unit has of a component, where it has several components.
    pub(super) fn block_count(&self, component: usize) -> u32 {
        let component = &self.components[component];
        component.horizontal * component.vertical
    }

    /// The components' ids.
    pub(super) fn ids(&self) -> Vec<u8> {
        self.components.iter().map(|component| component.id).collect()
    }

    /// The components' sampling factors, for a sentence.
    pub(super) fn factors(&self) -> String {
        let factors = self.components.iter().map(|c| format!("{}x{}", c.horizontal, c.vertical));
        factors.collect::<Vec<_>>().join(", ")
    }

    /// Whether it is one of the frames that nearly all encoders write: all components in one scan
    /// or progressive, and the first sampled as finely as any other, or twice as finely.
    pub(super) fn is_usual(&self) -> bool {
        let [first, others @ ..] = &self.components[..] else { return false };
        if others.is_empty() {
            return true;
        }
        let is_interleaved = self.is_progressive || !self.keeps_coefficients;
        // Of four components the last is sampled as the first is.
        let is_finest =
            |c: &Component| (c.horizontal, c.vertical) == (first.horizontal, first.vertical);
        let is_coarse = |c: &Component| (c.horizontal, c.vertical) == (1, 1);
        let are_others_coarse = match others {
            [chroma @ .., black] if others.len() == 3 => {
                chroma.iter().all(is_coarse) && is_finest(black)
            }
            chroma => chroma.iter().all(is_coarse),
        };
        is_interleaved && are_others_coarse && first.horizontal <= 2 && first.vertical <= 2
    }

    /// Whether a component was sent alone whose sampling lies between the coarsest and the finest
    /// that there can be: 2 where another has 4.
    pub(super) fn has_medium_component_alone(&self) -> bool {
        let (widest, tallest) = self.largest_factors();
        let is_medium = |c: &Component| {
            (c.horizontal != 1 && c.horizontal != widest)
                || (c.vertical != 1 && c.vertical != tallest)
        };
        self.components.iter().any(|c| c.is_sent_alone && is_medium(c))
    }

    /// Samples of all components, padded to whole units.
    pub(super) fn sample_count(&self) -> u64 {
        let (across, down) = self.unit_counts();
        let blocks: u64 =
            self.components.iter().map(|c| u64::from(c.horizontal * c.vertical)).sum();
        across * down * blocks * BLOCK as u64
    }

    fn largest_factors(&self) -> (u32, u32) {
        let widest = self.components.iter().map(|c| c.horizontal).max().unwrap_or(1);
        let tallest = self.components.iter().map(|c| c.vertical).max().unwrap_or(1);
        (widest, tallest)
    }

    fn unit_counts(&self) -> (u64, u64) {
        let (widest, tallest) = self.largest_factors();
        let units = |pixels: u32, factor: u32| u64::from(pixels.div_ceil(8 * factor));
        (units(self.width, widest), units(self.height, tallest))
    }

    /// Units (T.81: MCU) of a scan: blocks of a single component, else interleaved groups.
    fn scan_unit_count(&self, scanned: &[usize]) -> u64 {
        let (across, down) = self.unit_counts();
        let [only] = scanned else { return across * down };
        let (widest, tallest) = self.largest_factors();
        let component = &self.components[*only];
        let blocks = |pixels: u32, factor: u32, most: u32| {
            (u64::from(pixels) * u64::from(factor)).div_ceil(8 * u64::from(most))
        };
        blocks(self.width, component.horizontal, widest)
            * blocks(self.height, component.vertical, tallest)
    }
}

/// A JPEG that is cut off or damaged, and how that was seen.
pub(super) fn corrupt(cause: impl Into<Cause>) -> DecodeError {
    DecodeError::corrupt(ImageFormat::Jpeg, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_with_a_part_of_the_components_makes_a_decoder_keep_all() {
        let header = [8, 0, 8, 0, 8, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
        let mut frame = Frame::read(&header, false).unwrap();
        frame.scan(&[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]).unwrap();
        assert!(!frame.keeps_coefficients);
        let mut frame = Frame::read(&header, false).unwrap();
        frame.scan(&[1, 1, 0, 0, 63, 0]).unwrap();
        assert!(frame.keeps_coefficients);
    }
}
