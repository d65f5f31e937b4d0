//! The segments of a JPEG file, read before anything is decoded.
//!
//! The decoder is given a stream put together anew: what decoding needs and nothing else, so that
//! metadata never reaches it, and an end that tells a finished scan from one that was cut off.

use image::metadata::Orientation;

use super::{
    DecodeError, ImageFormat,
    jpeg_frame::{Frame, corrupt},
};

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
/// The start of a progressive frame; 0xc0 and 0xc1 start sequential ones.
const PROGRESSIVE: u8 = 0xc2;
const DHT: u8 = 0xc4;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP14: u8 = 0xee;

/// Most scans that are decoded: encoders write about ten, and each costs a pass over the picture.
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
    /// The picture's header.
    pub frame: Frame,
    /// The colour transform that an Adobe segment names.
    pub adobe_transform: Option<u8>,
    /// How the picture is to be turned.
    pub orientation: Orientation,
}

impl Segments {
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

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    stream: Vec<u8>,
    frame: Option<Frame>,
    adobe_transform: Option<u8>,
    orientation: Orientation,
    restart_interval: u64,
    scan_count: usize,
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
            adobe_transform: None,
            orientation: Orientation::NoTransforms,
            restart_interval: 0,
            scan_count: 0,
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
            0xc0..=PROGRESSIVE | DHT | DQT | DRI | SOS | 0xe0..=0xff => {}
            0xc3 | 0xc5..=0xcf => {
                let cause = format!("coding process 0x{marker:02x}");
                return Err(DecodeError::unsupported_kind(ImageFormat::Jpeg, cause));
            }
            _ => return Err(corrupt(format!("unknown marker 0x{marker:02x}"))),
        }
        let payload = self.payload()?;
        match marker {
            0xc0..=PROGRESSIVE if self.frame.is_some() => {
                return Err(corrupt("two frame headers"));
            }
            0xc0..=PROGRESSIVE => {
                self.frame = Some(Frame::read(payload, marker == PROGRESSIVE)?);
            }
            DRI => {
                let &[high, low] = payload else {
                    return Err(corrupt("a restart interval of a wrong length"));
                };
                self.restart_interval = u64::from(u16::from_be_bytes([high, low]));
            }
            APP1 => {
                if let Some(exif) = payload.strip_prefix(b"Exif\0\0") {
                    self.orientation =
                        Orientation::from_exif_chunk(exif).unwrap_or(self.orientation);
                }
            }
            APP14 if payload.starts_with(b"Adobe") => {
                self.adobe_transform = payload.get(11).copied();
            }
            _ => {}
        }
        if matches!(marker, 0xc0..=PROGRESSIVE | DHT | DQT | DRI | SOS)
            || (marker == APP0 && payload.starts_with(b"AVI1"))
        {
            self.copy(marker, payload);
        }
        if marker == SOS { self.scan(payload) } else { Ok(()) }
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

    /// Notes what a scan holds, and copies its entropy-coded data up to the next marker.
    fn scan(&mut self, header: &[u8]) -> Result<(), DecodeError> {
        self.scan_count += 1;
        if self.scan_count > MAX_SCANS {
            return Err(corrupt(format!("more than {MAX_SCANS} scans")));
        }
        let missing = || corrupt("a scan before the frame header");
        let unit_count = self.frame.as_mut().ok_or_else(missing)?.scan(header)?;
        let restart_count = self.entropy_coded();
        if self.restart_interval > 0
            && restart_count + 1 < unit_count.div_ceil(self.restart_interval)
        {
            return Err(corrupt("a scan ends before its last restart interval"));
        }
        Ok(())
    }

    /// Copies entropy-coded data and counts the restart markers in it.
    fn entropy_coded(&mut self) -> u64 {
        let start = self.at;
        let mut restart_count = 0;
        loop {
            let Some(offset) = memchr::memchr(0xff, &self.bytes[self.at..]) else {
                self.at = self.bytes.len();
                break;
            };
            self.at += offset;
            match self.bytes.get(self.at + 1) {
                Some(0x00) => self.at += 2,
                Some(0xd0..=0xd7) => {
                    restart_count += 1;
                    self.at += 2;
                }
                Some(0xff) => self.at += 1,
                Some(_) | None => break,
            }
        }
        self.stream.extend_from_slice(&self.bytes[start..self.at]);
        restart_count
    }

    fn finish(mut self, has_end: bool) -> Result<Segments, DecodeError> {
        let Some(frame) = self.frame else {
            return Err(corrupt("the file ends before its frame header"));
        };
        let is_whole = frame.is_begun()
            && !(frame.is_progressive && self.scan_count == 1)
            && (has_end || frame.is_refined());
        if !is_whole {
            return Err(corrupt("the file ends before its last scan"));
        }
        self.stream.extend([0xff, EOI]);
        Ok(Segments {
            stream: self.stream,
            frame,
            adobe_transform: self.adobe_transform,
            orientation: self.orientation,
        })
    }
}
