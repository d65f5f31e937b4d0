//! The segments of a JPEG file, read before anything is decoded.
//!
//! The decoder is given a stream put together anew: what decoding needs and nothing else, so that
//! metadata never reaches it, and an end that tells a finished scan from one that was cut off.
//! Components are named 1, 2 and on in it, and no marker tells their colours: [`Segments::colors`]
//! does, for all decoders alike.

use image::metadata::Orientation;

use super::{
    DecodeError, ImageFormat, exif,
    jpeg_color::{ColorMarkers, Colors},
    jpeg_frame::{Frame, corrupt},
    jpeg_profile::ProfileParts,
    jpeg_scans::{self, ScanData},
    jpeg_tables::HuffmanTables,
};

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
/// The start of a progressive frame; 0xc0 and 0xc1 start sequential ones.
const PROGRESSIVE: u8 = 0xc2;
const DHT: u8 = 0xc4;
const DQT: u8 = 0xdb;
/// The height, told after the first scan.
const DNL: u8 = 0xdc;
const DRI: u8 = 0xdd;
/// A hierarchical file, of several frames.
const DHP: u8 = 0xde;
const EXP: u8 = 0xdf;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
/// The frame of a JPEG-LS.
const JPEG_LS: u8 = 0xf7;
/// Bytes of a JFIF and of an Adobe segment (libjpeg's `APP0_DATA_LEN` and `APP14_DATA_LEN`); with
/// fewer they are not such.
const JFIF_BYTES: usize = 14;
const ADOBE_BYTES: usize = 12;

/// Bytes of a frame header before its components.
const FRAME_BYTES: usize = 6;
/// Bytes of a component in it.
const COMPONENT_BYTES: usize = 3;
/// Most scans that are decoded: encoders write about ten, and each costs a pass over the image.
pub(super) const MAX_SCANS: usize = 64;
/// What [`Segments::poisoned`] puts between the last scan and the end marker: 64 bits of one. No
/// Huffman code is all ones (ITU-T T.81, C), so a scan that was cut off fails here where it would
/// else go on with zeros. A finished scan never reads it.
const POISON: [u8; 16] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];

/// A JPEG file whose segments are whole.
#[derive(Debug)]
pub(super) struct Segments {
    /// What is to be decoded, with an end marker.
    pub stream: Vec<u8>,
    /// The image's header.
    pub frame: Frame,
    /// Where the data of scans are in the stream.
    scans: Vec<ScanData>,
    /// What the components are.
    pub colors: Colors,
    /// How the image is to be turned.
    pub orientation: Orientation,
    /// The colour profile, where all parts of it are there.
    pub icc: Option<Vec<u8>>,
}

impl Segments {
    /// Checks a file of several scans or with restart markers for what a decoder would not notice: see
    /// [`jpeg_scans`].
    ///
    /// # Errors
    /// `Corrupt` for a scan whose data end early.
    pub(super) fn check_scans(&mut self) -> Result<(), DecodeError> {
        let has_restarts = |data: &ScanData| data.restart_interval > 0;
        if self.frame.keeps_coefficients || self.scans.iter().any(has_restarts) {
            jpeg_scans::trim(&mut self.stream, &self.frame, &self.scans)?;
            // They are no longer where they were.
            self.scans.clear();
        }
        Ok(())
    }

    /// The stream for a decoder that would go on where a scan was cut off.
    pub(super) fn poisoned(mut self) -> Vec<u8> {
        let end = self.stream.split_off(self.stream.len() - 2);
        self.stream.extend(POISON);
        self.stream.extend(end);
        self.stream
    }
}

/// Reads the segments of `bytes`, a file that begins like a JPEG.
///
/// # Errors
/// `Corrupt` if a segment or the file is cut off, a missing end marker aside; `Unsupported` for
/// what is not baseline or progressive of 8 bits.
pub(super) fn read(bytes: &[u8]) -> Result<Segments, DecodeError> {
    let mut reader = Reader::new(bytes);
    loop {
        match reader.next_marker()? {
            Some(EOI) => return reader.finish(true),
            None => return reader.finish(false),
            Some(marker) => reader.segment(marker)?,
        }
    }
}

/// The restart markers of a scan.
struct Restarts {
    count: u64,
    /// Whether they are numbered from 0 to 7 and again from 0.
    are_in_order: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    stream: Vec<u8>,
    frame: Option<Frame>,
    tables: HuffmanTables,
    color_markers: ColorMarkers,
    /// `None` before the first EXIF.
    orientation: Option<Orientation>,
    profile: ProfileParts<'a>,
    restart_interval: u64,
    scans: Vec<ScanData>,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut stream = Vec::with_capacity(bytes.len() + POISON.len() + 2);
        stream.extend([0xff, SOI]);
        Self {
            bytes,
            at: 2,
            stream,
            frame: None,
            tables: HuffmanTables::default(),
            color_markers: ColorMarkers::default(),
            orientation: None,
            profile: ProfileParts::default(),
            restart_interval: 0,
            scans: Vec::new(),
        }
    }

    /// The next marker, over whatever stands before it; `None` at the end of the file.
    fn next_marker(&mut self) -> Result<Option<u8>, DecodeError> {
        let Some(offset) = memchr::memchr(0xff, &self.bytes[self.at..]) else { return Ok(None) };
        self.at += offset;
        while self.bytes.get(self.at) == Some(&0xff) {
            self.at += 1;
        }
        let marker = self.bytes.get(self.at).copied();
        self.at += usize::from(marker.is_some());
        Ok(marker)
    }

    fn segment(&mut self, marker: u8) -> Result<(), DecodeError> {
        match marker {
            0x00 | 0x01 | 0xd0..=SOI => return Ok(()),
            0xc3 | 0xc5..=0xcf | DHP | EXP | JPEG_LS => {
                let cause = format!("coding process 0x{marker:02x}");
                return Err(DecodeError::unsupported_kind(ImageFormat::Jpeg, cause));
            }
            DNL if self.frame.as_ref().is_some_and(|frame| frame.height == 0) => {
                return Err(DecodeError::unsupported("the JPEG tells its height after a scan"));
            }
            0xc0..=PROGRESSIVE | DHT | DQT | DNL | DRI | SOS | 0xe0..=0xff => {}
            _ => return Err(corrupt(format!("unknown marker 0x{marker:02x}"))),
        }
        let payload = self.payload()?;
        match marker {
            0xc0..=PROGRESSIVE => return self.frame_header(marker, payload),
            SOS => return self.scan(payload),
            DHT => self.tables.define(payload),
            DRI => {
                let &[high, low] = payload else {
                    return Err(corrupt("a restart interval of a wrong length"));
                };
                self.restart_interval = u64::from(u16::from_be_bytes([high, low]));
            }
            // The first of several counts, whatever it says.
            APP1 if payload.starts_with(exif::PREFIX) && self.orientation.is_none() => {
                let upright = Orientation::NoTransforms;
                self.orientation = Some(exif::orientation(payload).unwrap_or(upright));
            }
            // What comes after the first scan is too late for colours, as it is in libjpeg.
            APP0 if payload.starts_with(b"JFIF\0") && self.scans.is_empty() => {
                self.color_markers.has_jfif |= payload.len() >= JFIF_BYTES;
            }
            APP2 if self.scans.is_empty() => self.profile.note(payload),
            APP14 if payload.starts_with(b"Adobe") && self.scans.is_empty() => {
                let transform = payload.get(ADOBE_BYTES - 1).copied();
                self.color_markers.adobe_transform =
                    transform.or(self.color_markers.adobe_transform);
            }
            _ => {}
        }
        if matches!(marker, DHT | DQT | DRI) {
            self.copy(marker, payload);
        }
        Ok(())
    }

    fn frame_header(&mut self, marker: u8, payload: &[u8]) -> Result<(), DecodeError> {
        if self.frame.is_some() {
            return Err(corrupt("two frame headers"));
        }
        self.frame = Some(Frame::read(payload, marker == PROGRESSIVE)?);
        let mut named = payload.to_vec();
        let is_alone = payload.len() == FRAME_BYTES + COMPONENT_BYTES;
        for (id, component) in (1..).zip(named[FRAME_BYTES..].chunks_exact_mut(COMPONENT_BYTES)) {
            component[0] = id;
            // Of one component the factors mean nothing: its blocks stand row by row.
            component[1] = if is_alone { 0x11 } else { component[1] };
        }
        self.copy(marker, &named);
        Ok(())
    }

    fn payload(&mut self) -> Result<&'a [u8], DecodeError> {
        let cut = || corrupt("the file ends within a segment");
        let rest = &self.bytes[self.at..];
        let (length, _) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return Err(corrupt("a segment without its length"));
        }
        let payload = rest.get(2..length).ok_or_else(cut)?;
        self.at += length;
        Ok(payload)
    }

    fn copy(&mut self, marker: u8, payload: &[u8]) {
        let length = (payload.len() + 2) as u16;
        self.stream.extend([0xff, marker]);
        self.stream.extend(length.to_be_bytes());
        self.stream.extend_from_slice(payload);
    }

    /// Notes what a scan holds, and copies it up to the next marker.
    fn scan(&mut self, header: &[u8]) -> Result<(), DecodeError> {
        if self.scans.len() == MAX_SCANS {
            return Err(DecodeError::unsupported(format!(
                "the JPEG has more than {MAX_SCANS} scans, which are not read"
            )));
        }
        let missing = || corrupt("a scan before the frame header");
        let frame = self.frame.as_mut().ok_or_else(missing)?;
        let is_sequential = !frame.is_progressive;
        let scan = frame.scan(header)?;
        if is_sequential {
            for table in self.tables.missing() {
                self.copy(DHT, &table);
            }
        }
        let mut named = header.to_vec();
        for (component, selector) in scan.components.iter().zip(named[1..].chunks_exact_mut(2)) {
            selector[0] = *component as u8 + 1;
        }
        self.copy(SOS, &named);
        let start = self.stream.len();
        let Restarts { count, are_in_order } = self.entropy_coded();
        let (bytes, restart_interval) = (start..self.stream.len(), self.restart_interval);
        let unit_count = scan.unit_count;
        self.scans.push(ScanData { scan, bytes, restart_interval });
        // Decoders differ in which data they leave out then: two of them would see two images.
        if !are_in_order {
            return Err(corrupt("restart markers out of order"));
        }
        let interval_count = match restart_interval {
            0 => 1,
            interval => unit_count.div_ceil(interval),
        };
        if count + 1 < interval_count {
            return Err(corrupt("a scan ends before its last restart interval"));
        }
        if count + 1 > interval_count.max(1) {
            return Err(corrupt("more restart markers than a scan can have"));
        }
        Ok(())
    }

    /// Copies entropy-coded data, without the fill bytes behind it, and looks at the restart markers in it.
    fn entropy_coded(&mut self) -> Restarts {
        let start = self.at;
        let mut restarts = Restarts { count: 0, are_in_order: true };
        loop {
            let Some(offset) = memchr::memchr(0xff, &self.bytes[self.at..]) else {
                self.at = self.bytes.len();
                break;
            };
            self.at += offset;
            match self.bytes.get(self.at + 1) {
                Some(0x00) => self.at += 2,
                Some(marker @ 0xd0..=0xd7) => {
                    restarts.are_in_order &= u64::from(marker - 0xd0) == restarts.count % 8;
                    restarts.count += 1;
                    self.at += 2;
                }
                Some(0xff) => self.at += 1,
                Some(_) | None => break,
            }
        }
        let copied = &self.bytes[start..self.at];
        let fill_count = copied.iter().rev().take_while(|byte| **byte == 0xff).count();
        self.stream.extend_from_slice(&copied[..copied.len() - fill_count]);
        restarts
    }

    fn finish(mut self, has_end: bool) -> Result<Segments, DecodeError> {
        let Some(frame) = self.frame else {
            return Err(corrupt("the file ends before its frame header"));
        };
        let is_whole = frame.is_begun()
            && !(frame.is_progressive && self.scans.len() == 1)
            && (has_end || frame.is_refined());
        if !is_whole {
            return Err(corrupt("the file ends before its last scan"));
        }
        self.stream.extend([0xff, EOI]);
        let colors = Colors::of(&frame.ids(), self.color_markers);
        let orientation = self.orientation.unwrap_or(Orientation::NoTransforms);
        let icc = self.profile.join();
        Ok(Segments { stream: self.stream, frame, scans: self.scans, colors, orientation, icc })
    }
}
