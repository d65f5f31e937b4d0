//! Images in a content encoding (RFC 9110, 8.4): `gzip`, `deflate` and `br` are undone, within a
//! bound, where an image enters. Everything behind sees, counts and hashes the decoded bytes.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flota_core::{Code, ports::FetchError};
use thiserror::Error;
use tokio::task::spawn_blocking;

/// Most encodings of one body: servers use one, a proxy in front may add another.
const MAX_ENCODINGS: usize = 3;
/// Bytes that a brotli decoder reads at once.
const BROTLI_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes that are decoded at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a body was not decoded.
#[derive(Debug, Error)]
pub enum EncodingError {
    /// An encoding that is not read, or too many.
    #[error("the content encoding {0:?} is not read: send gzip, deflate, br or none")]
    Unknown(String),
    /// Cut off or damaged.
    #[error("the {0} content encoding of the image ends early or is damaged")]
    Damaged(&'static str),
    /// The decoded image is too large.
    #[error("the image has more than {0} bytes when its content encoding is undone")]
    TooLarge(u64),
}

/// Why a decoded body was not copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// It cannot be decoded, or is too large.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<EncodingError> for FetchError {
    fn from(error: EncodingError) -> Self {
        let code = match error {
            EncodingError::Unknown(_) => Code::DecodeUnsupported,
            EncodingError::Damaged(_) => Code::DecodeCorrupt,
            EncodingError::TooLarge(_) => Code::ImageTooLarge,
        };
        Self::new(code, error.to_string())
    }
}

/// The encodings of a body, in the order in which they were applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentEncodings(Vec<Encoding>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
}

impl ContentEncodings {
    /// Reads the values of `Content-Encoding` headers: names in any case, in a list or several.
    /// `identity`, `aws-chunked` (which S3 clients leave behind) and nothing are no encoding.
    ///
    /// # Errors
    /// [`EncodingError::Unknown`] names the encoding that is not read.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, EncodingError> {
        let mut encodings = Vec::new();
        for name in values.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
            let encoding = match name.to_ascii_lowercase().as_str() {
                "" | "identity" | "aws-chunked" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "br" => Encoding::Brotli,
                _ => return Err(EncodingError::Unknown(name.to_owned())),
            };
            if encodings.len() == MAX_ENCODINGS {
                return Err(EncodingError::Unknown(format!("{name} after {MAX_ENCODINGS} others")));
            }
            encodings.push(encoding);
        }
        Ok(Self(encodings))
    }

    /// Whether a body is as it is.
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// The decoded bytes of `body`, at most `max_bytes` of them. What does not end is refused when
    /// it passes the bound, and nothing beyond the bound is held.
    ///
    /// # Errors
    /// See [`EncodingError`].
    pub async fn decode(&self, body: Bytes, max_bytes: u64) -> Result<Bytes, EncodingError> {
        if self.is_identity() {
            return Ok(body);
        }
        let encodings = self.clone();
        // Undoing it takes the processor: away from the threads that wait for the network.
        let decoded = spawn_blocking(move || {
            let mut decoded = Vec::new();
            match encodings.copy_decoded(&body[..], &mut decoded, max_bytes) {
                Ok(()) => Ok(decoded.into()),
                Err(CopyError::Encoding(error)) => Err(error),
                // Memory takes all.
                Err(CopyError::Io(_)) => Err(EncodingError::Damaged(encodings.outermost())),
            }
        });
        decoded.await.unwrap_or(Err(EncodingError::Damaged("unreadable")))
    }

    /// Copies what `encoded` holds to `decoded`, at most `max_bytes` of it. It blocks.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub fn copy_decoded(
        &self,
        encoded: impl Read,
        decoded: &mut impl Write,
        max_bytes: u64,
    ) -> Result<(), CopyError> {
        let damaged = |_| EncodingError::Damaged(self.outermost());
        let mut reader: Box<dyn Read + '_> = Box::new(encoded);
        for encoding in self.0.iter().rev() {
            reader = encoding.undone(reader).map_err(damaged)?;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut size_bytes = 0;
        loop {
            let length = match reader.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(damaged)?,
            };
            size_bytes += length as u64;
            if size_bytes > max_bytes {
                return Err(EncodingError::TooLarge(max_bytes).into());
            }
            match length {
                0 => return Ok(()),
                _ => decoded.write_all(&chunk[..length])?,
            }
        }
    }

    /// The encoding that was applied last.
    fn outermost(&self) -> &'static str {
        self.0.last().map_or("identity", |encoding| encoding.name())
    }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }

    /// `encoded` without this encoding.
    fn undone<'a>(self, mut encoded: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(encoded)),
            Self::Brotli => {
                Box::new(brotli_decompressor::Decompressor::new(encoded, BROTLI_BUFFER_BYTES))
            }
            Self::Deflate => {
                let mut start = [0; 2];
                let length = read_start(&mut encoded, &mut start)?;
                let whole = io::Cursor::new(start).take(length as u64).chain(encoded);
                // RFC 9110 says zlib; some servers send the bare stream.
                match is_zlib(start) {
                    true => Box::new(ZlibDecoder::new(whole)),
                    false => Box::new(DeflateDecoder::new(whole)),
                }
            }
        })
    }
}

/// Fills `start` as far as there are bytes.
fn read_start(reader: &mut impl Read, start: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < start.len() {
        match reader.read(&mut start[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Whether a stream begins with a header of zlib (RFC 1950, 2.2).
fn is_zlib(start: [u8; 2]) -> bool {
    start[0] & 0x0f == 8 && u16::from_be_bytes(start).is_multiple_of(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's zlib, gzip and brotli make of [`PLAIN`].
    const ENCODED: [(&str, &[u8]); 5] = [
        (
            "gzip",
            b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x4b\xaa\x2c\x49\x2d\x56\xc8\x4f\x53\x48\xcc\x53\xc8\xcc\x4d\x4c\x4f\
              \xd5\x51\x48\x4c\x4f\xcc\xcc\x03\xf2\x53\x20\x2c\x2b\x85\x24\x74\x35\x44\x89\0\0\x4b\xb6\xd8\x86\
              \x5a\0\0\0",
        ),
        (
            "deflate",
            b"\x78\x9c\x4b\xaa\x2c\x49\x2d\x56\xc8\x4f\x53\x48\xcc\x53\xc8\xcc\x4d\x4c\x4f\xd5\x51\x48\x4c\x4f\
              \xcc\xcc\x03\xf2\x53\x20\x2c\x2b\x85\x24\x74\x35\x44\x89\0\0\x92\xb6\x1f\x32",
        ),
        (
            "Deflate",
            b"\x4b\xaa\x2c\x49\x2d\x56\xc8\x4f\x53\x48\xcc\x53\xc8\xcc\x4d\x4c\x4f\xd5\x51\x48\x4c\x4f\xcc\xcc\
              \x03\xf2\x53\x20\x2c\x2b\x85\x24\x74\x35\x44\x89\0\0",
        ),
        (
            "br",
            b"\x1b\x59\0\x68\x9d\x07\x76\xac\x33\xb2\x7a\x93\x8e\x73\xa5\xd8\x5c\x5e\x85\xbd\x35\x88\x4e\x19\xdd\
              \x32\x73\xeb\x41\x8a\xd1\x66\x20\xb0\x01\xe7\x89\xc5\x91\x8f\x9f\xbf\xc4\x6f\x08\xe6\x41\xc8\x48\
              \x2f",
        ),
        (
            "x-gzip, br",
            b"\x8b\x1b\x80\x1f\x8b\x08\0\0\0\0\0\x02\x03\x4b\xaa\x2c\x49\x2d\x56\xc8\x4f\x53\x48\xcc\x53\xc8\xcc\
              \x4d\x4c\x4f\xd5\x51\x48\x4c\x4f\xcc\xcc\x03\xf2\x53\x20\x2c\x2b\x85\x24\x74\x35\x44\x89\0\0\x4b\
              \xb6\xd8\x86\x5a\0\0\0\x03",
        ),
    ];
    const PLAIN: &[u8] =
        b"bytes of an image, again and again: bytes of an image bytes of an image bytes of an image ";

    async fn check(header: &str, body: &[u8], max_bytes: u64) -> Result<Bytes, Code> {
        let encodings = ContentEncodings::parse([header]).map_err(|error| code(error.into()))?;
        let body = Bytes::copy_from_slice(body);
        encodings.decode(body, max_bytes).await.map_err(|error| code(error.into()))
    }

    fn code(error: FetchError) -> Code {
        error.code
    }

    #[tokio::test]
    async fn each_encoding_is_undone_and_what_is_cut_off_is_refused() {
        for (header, body) in ENCODED {
            assert_eq!(check(header, body, 90).await.as_deref(), Ok(PLAIN), "{header}");
            assert_eq!(check(header, body, 89).await, Err(Code::ImageTooLarge), "{header}");
            for length in 1..body.len() {
                let found = check(header, &body[..length], 90).await;
                assert_eq!(found, Err(Code::DecodeCorrupt), "{header} cut to {length}");
            }
            let mut damaged = body.to_vec();
            damaged[body.len() / 2] ^= 0x55;
            let found = check(header, &damaged, 1000).await;
            assert_ne!(found.as_deref(), Ok(PLAIN), "{header}");
        }
        for header in ["", "identity", "aws-chunked", "identity,, Identity"] {
            assert_eq!(check(header, PLAIN, 1000).await.as_deref(), Ok(PLAIN), "{header}");
        }
        for header in ["zstd", "gzip, compress", "gzip gzip", "br,br,br,br", "image/jpeg"] {
            assert_eq!(check(header, PLAIN, 1000).await, Err(Code::DecodeUnsupported), "{header}");
        }
    }

    #[tokio::test]
    async fn what_is_announced_and_not_encoded_is_damaged() {
        for header in ["gzip", "deflate", "br"] {
            let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
            assert_eq!(check(header, jpeg, 1000).await, Err(Code::DecodeCorrupt), "{header}");
            assert_eq!(check(header, b"", 1000).await, Err(Code::DecodeCorrupt), "{header}");
        }
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_bound() {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; 50_000_000]).unwrap();
        let bomb = gzip.finish().unwrap();
        assert!(bomb.len() < 100_000);
        assert_eq!(check("gzip", &bomb, 10_000_000).await, Err(Code::ImageTooLarge));
    }
}
