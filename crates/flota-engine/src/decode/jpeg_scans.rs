//! The data of a JPEG's scans, read for their length alone.
//!
//! Where a scan ends early, decoders go on with zeros, and of a file of several scans they may make another image of
//! that without a word; where a restart interval does, they differ in how they go on. So all scans of such files are
//! read here first, to the last bit. What stands between the data of a scan or of an interval and the next marker is
//! cut off, which libjpeg passes over.

use std::ops::Range;

use super::{
    DecodeError,
    jpeg_bits::{Bits, Codes},
    jpeg_frame::{BLOCK, Frame, Scan, corrupt},
};

const DHT: u8 = 0xc4;
const SOS: u8 = 0xda;
/// Bytes of a segment before its payload: the marker and the length.
const SEGMENT_BYTES: usize = 4;
/// Bytes of a start-of-image marker.
const START_BYTES: usize = 2;
/// Tables of a class (DC or AC) that can be defined at a time.
const TABLES: usize = 4;
/// Bytes that say how many codes of each length there are.
const COUNTS: usize = 16;

/// Where the data of a scan are in the stream.
#[derive(Debug)]
pub(super) struct ScanData {
    pub scan: Scan,
    pub bytes: Range<usize>,
    /// Units between two restart markers; 0 if there are none.
    pub restart_interval: u64,
}

/// Checks that the data of all scans are whole, and cuts off of `stream` what stands behind them. Takes eight bytes
/// of memory for each block, of which a decoder of such a file keeps 128 or more.
///
/// # Errors
/// `Corrupt` where they are not.
pub(super) fn trim(
    stream: &mut Vec<u8>,
    frame: &Frame,
    scans: &[ScanData],
) -> Result<(), DecodeError> {
    let mut surplus = Vec::new();
    let mut tables = Tables::default();
    let mut history = vec![Vec::new(); frame.component_count()];
    let mut at = START_BYTES;
    for ScanData { scan, bytes, restart_interval } in scans {
        let mut header = &[][..];
        while at < bytes.start {
            let &[_, marker, high, low, ..] = &stream[at..] else { break };
            let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            let payload = &stream[at + SEGMENT_BYTES..end];
            match marker {
                DHT => tables.define(payload),
                SOS => header = payload,
                _ => {}
            }
            at = end;
        }
        let coding = Coding::of(frame, scan, header, &tables)?;
        let mut bits = Bits::new(&stream[bytes.clone()]);
        let between = coding.read(&mut bits, scan, *restart_interval, &mut history)?;
        let in_stream = |part: Range<usize>| bytes.start + part.start..bytes.start + part.end;
        surplus.extend(between.into_iter().map(in_stream));
        surplus.push(bytes.start + bits.read_bytes()..bytes.end);
        at = bytes.end;
    }
    cut(stream, &surplus);
    Ok(())
}

/// Cuts `parts`, which stand one behind the other, off of `stream`.
fn cut(stream: &mut Vec<u8>, parts: &[Range<usize>]) {
    let mut end = parts.first().map_or(stream.len(), |part| part.start);
    for (index, part) in parts.iter().enumerate() {
        let next = parts.get(index + 1).map_or(stream.len(), |next| next.start);
        stream.copy_within(part.end..next, end);
        end += next - part.end;
    }
    stream.truncate(end);
}

/// The Huffman tables that are defined, by class and number.
#[derive(Default)]
struct Tables {
    defined: [[Option<Table>; TABLES]; 2],
}

/// A table as a DHT segment has it: how many codes of each length there are, and their values.
type Table = (Vec<u8>, Vec<u8>);

impl Tables {
    fn define(&mut self, mut payload: &[u8]) {
        while let Some((name, rest)) = payload.split_first() {
            let Some((counts, rest)) = rest.split_at_checked(COUNTS) else { return };
            let value_count = counts.iter().map(|count| usize::from(*count)).sum();
            let Some((values, rest)) = rest.split_at_checked(value_count) else { return };
            let (class, number) = (usize::from(name >> 4), usize::from(name & 15));
            if let Some(table) = self.defined.get_mut(class).and_then(|of| of.get_mut(number)) {
                *table = Some((counts.to_vec(), values.to_vec()));
            }
            payload = rest;
        }
    }

    fn codes(&self, class: usize, number: u8) -> Result<Codes, DecodeError> {
        let table = self.defined[class].get(usize::from(number)).and_then(Option::as_ref);
        let (counts, values) = table.ok_or_else(|| corrupt("a scan without its Huffman table"))?;
        Codes::new(counts, values)
    }
}

/// How the blocks of a scan are coded.
enum Coding {
    /// For each component: blocks of a unit, and the codes of their first and of their other coefficients.
    Sequential(Vec<(u32, Codes, Codes)>),
    /// The upper bits of the first coefficients: blocks of a unit of each component, and their codes.
    DcFirst(Vec<(u32, Codes)>),
    /// One more bit of each first coefficient, of so many blocks of a unit.
    DcRefine(u32),
    /// The upper bits of the coefficients of `band`, of the component at a place in the frame.
    AcFirst { component: usize, band: Range<usize>, codes: Codes },
    /// One more bit of those.
    AcRefine { component: usize, band: Range<usize>, codes: Codes },
}

impl Coding {
    fn of(frame: &Frame, scan: &Scan, header: &[u8], tables: &Tables) -> Result<Self, DecodeError> {
        let damaged = || corrupt("a damaged scan header");
        let selectors = header.get(1..=2 * scan.components.len()).ok_or_else(damaged)?;
        let &[first, last, successive] = &header[1 + selectors.len()..] else {
            return Err(damaged());
        };
        let dc = |selector: &[u8]| tables.codes(0, selector[1] >> 4);
        let ac = |selector: &[u8]| tables.codes(1, selector[1] & 15);
        let block_count = |component: usize| match scan.components[..] {
            // Of one component a unit is a block.
            [_] => 1,
            _ => frame.block_count(component),
        };
        let components = || scan.components.iter().zip(selectors.chunks_exact(2));
        if !frame.is_progressive {
            let coded = |(component, selector): (&usize, &[u8])| {
                Ok((block_count(*component), dc(selector)?, ac(selector)?))
            };
            return components().map(coded).collect::<Result<_, _>>().map(Self::Sequential);
        }
        let is_first = successive >> 4 == 0;
        if first == 0 {
            if last != 0 {
                return Err(corrupt("a scan of first coefficients with others"));
            }
            if !is_first {
                let blocks = scan.components.iter().map(|component| block_count(*component));
                return Ok(Self::DcRefine(blocks.sum()));
            }
            let coded = |(component, selector): (&usize, &[u8])| {
                Ok((block_count(*component), dc(selector)?))
            };
            return components().map(coded).collect::<Result<_, _>>().map(Self::DcFirst);
        }
        let [component] = scan.components[..] else {
            return Err(corrupt("a scan of other coefficients of several components"));
        };
        let band = usize::from(first)..usize::from(last) + 1;
        let codes = ac(selectors)?;
        Ok(match is_first {
            true => Self::AcFirst { component, band, codes },
            false => Self::AcRefine { component, band, codes },
        })
    }

    /// Reads all units of `scan`, and returns where the bytes are that no restart interval has. `history` has for each
    /// component and each of its blocks a bit for each coefficient that is not zero, as far as a later scan has to
    /// know it.
    fn read(
        &self,
        bits: &mut Bits<'_>,
        scan: &Scan,
        restart_interval: u64,
        history: &mut [Vec<u64>],
    ) -> Result<Vec<Range<usize>>, DecodeError> {
        let mut surplus = Vec::new();
        if let Self::AcFirst { component, .. } | Self::AcRefine { component, .. } = self {
            history[*component].resize(scan.unit_count as usize, 0);
        }
        let interval = if restart_interval == 0 { scan.unit_count } else { restart_interval };
        let mut start = 0;
        while start < scan.unit_count {
            if start > 0 {
                let part = bits.restart()?;
                if !part.is_empty() {
                    surplus.push(part);
                }
            }
            let end = scan.unit_count.min(start + interval);
            self.read_interval(bits, start..end, history)?;
            start = end;
        }
        Ok(surplus)
    }

    /// Reads the units between two restart markers.
    fn read_interval(
        &self,
        bits: &mut Bits<'_>,
        units: Range<u64>,
        history: &mut [Vec<u64>],
    ) -> Result<(), DecodeError> {
        let places = units.start as usize..units.end as usize;
        match self {
            Self::Sequential(components) => {
                for (block_count, dc, ac) in units.flat_map(|_| components) {
                    for _ in 0..*block_count {
                        read_difference(bits, dc)?;
                        read_block(bits, ac)?;
                    }
                }
            }
            Self::DcFirst(components) => {
                for (block_count, codes) in units.flat_map(|_| components) {
                    for _ in 0..*block_count {
                        read_difference(bits, codes)?;
                    }
                }
            }
            Self::DcRefine(block_count) => {
                bits.skip((units.end - units.start) * u64::from(*block_count))?;
            }
            Self::AcFirst { component, band, codes } => {
                let blocks = &mut history[*component][places];
                let mut at = 0;
                while let Some(block) = blocks.get_mut(at) {
                    at += 1 + read_band(bits, codes, band, block)? as usize;
                }
            }
            Self::AcRefine { component, band, codes } => {
                let mut empty_run = 0;
                for block in &mut history[*component][places] {
                    refine_band(bits, codes, band, block, &mut empty_run)?;
                }
            }
        }
        Ok(())
    }
}

/// A first coefficient (T.81, F.2.2.1): the length of its difference to the one before, and that.
fn read_difference(bits: &mut Bits<'_>, codes: &Codes) -> Result<(), DecodeError> {
    let length = bits.code(codes)?;
    bits.skip(u64::from(length.min(16)))
}

/// The other coefficients of a block (T.81, F.2.2.2).
fn read_block(bits: &mut Bits<'_>, codes: &Codes) -> Result<(), DecodeError> {
    let mut at = 1;
    while at < BLOCK {
        let (run, length) = halves(bits.code(codes)?);
        match (run, length) {
            (15, 0) => at += 16,
            (_, 0) => break,
            _ => at += usize::from(run) + 1,
        }
        bits.skip(u64::from(length))?;
    }
    Ok(())
}

/// The coefficients of a block in a band, sent for the first time (T.81, G.1.2.2). Returns how many blocks behind
/// it have none.
fn read_band(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: &Range<usize>,
    block: &mut u64,
) -> Result<u32, DecodeError> {
    let mut at = band.start;
    while at < band.end {
        match halves(bits.code(codes)?) {
            (15, 0) => at += 16,
            (run, 0) => return Ok((1 << run) - 1 + bits.number(run)?),
            (run, length) => {
                at += usize::from(run);
                bits.skip(u64::from(length))?;
                *block |= bits_from(at) & !bits_from(at + 1);
                at += 1;
            }
        }
    }
    Ok(0)
}

/// One more bit of those coefficients (T.81, G.1.2.3): each that was not zero has one, between the codes of those
/// that no longer are. `empty_run` is of how many blocks, from this one on, none has changed from zero.
fn refine_band(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: &Range<usize>,
    block: &mut u64,
    empty_run: &mut u32,
) -> Result<(), DecodeError> {
    let known = *block & !bits_from(band.end);
    let mut at = band.start;
    while at < band.end && *empty_run == 0 {
        let (mut run, length) = halves(bits.code(codes)?);
        if length > 0 {
            // The sign, of a length that is 1 in a sound file.
            bits.skip(1)?;
        } else if run < 15 {
            *empty_run = (1 << run) + bits.number(run)?;
            break;
        }
        let start = at;
        while at < band.end && (known >> at & 1 == 1 || run > 0) {
            run -= u8::from(known >> at & 1 == 0);
            at += 1;
        }
        bits.skip(u64::from((known & bits_from(start) & !bits_from(at)).count_ones()))?;
        if length > 0 && at < band.end {
            *block |= 1 << at;
        }
        at += 1;
    }
    if *empty_run > 0 {
        bits.skip(u64::from((known & bits_from(at)).count_ones()))?;
        *empty_run -= 1;
    }
    Ok(())
}

/// The bits of all coefficients from `at` on.
fn bits_from(at: usize) -> u64 {
    u64::MAX.checked_shl(at as u32).unwrap_or_default()
}

/// A run of zeros, and the length of the number behind it.
fn halves(value: u8) -> (u8, u8) {
    (value >> 4, value & 15)
}
