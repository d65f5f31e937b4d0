//! Which formats are read, and which of them a file begins like.

use std::fmt;

use super::unread;

/// The formats that are read, for a sentence.
const READ: &str = "JPEG, PNG, GIF, WebP, BMP and TIFF";

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// Baseline or progressive, of one, three or four components.
    Jpeg,
    /// Of any depth; of an animated one the first image.
    Png,
    /// The first frame.
    Gif,
    /// Lossy or lossless; of an animated one the first frame.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// The first page.
    Tiff,
}

impl ImageFormat {
    /// The format's name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }

    /// The format's name in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }

    /// The format that `bytes` begin like.
    ///
    /// # Errors
    /// A sentence that says what they are instead.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, String> {
        // BigTIFF, which the crate does not know.
        if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") {
            return Ok(Self::Tiff);
        }
        match image::guess_format(bytes) {
            Ok(image::ImageFormat::Jpeg) => Ok(Self::Jpeg),
            Ok(image::ImageFormat::Png) => Ok(Self::Png),
            Ok(image::ImageFormat::Gif) => Ok(Self::Gif),
            Ok(image::ImageFormat::WebP) => Ok(Self::WebP),
            Ok(image::ImageFormat::Bmp) => Ok(Self::Bmp),
            Ok(image::ImageFormat::Tiff) => Ok(Self::Tiff),
            other => {
                let what = match (unread::name(bytes), other) {
                    (Some(name), _) => format!("this is {name}"),
                    (None, Ok(other)) => format!("this is an image of {}", other.to_mime_type()),
                    (None, Err(_)) => "this is not an image of a known format".to_owned(),
                };
                Err(format!("{what}; only {READ} images are read"))
            }
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
