//! Why an image was not decoded.

use std::error::Error;

use flota_core::Code;
use thiserror::Error;

use super::ImageFormat;

/// An image that was not decoded. Time heals none of these. The sentence is safe for the client,
/// with nothing in it of what a decoder says; that is the source, for the log.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the image is empty")]
    Empty,
    /// Not an image, or of a format or a kind of it that is not read.
    #[error("{what}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What the decoder says.
        source: Option<Cause>,
    },
    /// Cut off or damaged.
    #[error("the {} ends early or is damaged", format.name())]
    Corrupt {
        /// What it is encoded as.
        format: ImageFormat,
        /// What the decoder says.
        source: Cause,
    },
    /// The decoder failed by a fault of its own, which says nothing of the image.
    #[error("the decoder of {} failed, which is no fault of the image", format.name())]
    Panicked {
        /// What it is encoded as.
        format: ImageFormat,
    },
    /// More than the limits allow, by its header or its length.
    #[error("{what}")]
    TooLarge {
        /// How much of what, and the limit.
        what: String,
        /// What the decoder says.
        source: Option<Cause>,
    },
}

/// What a decoder says, in its own words.
pub type Cause = Box<dyn Error + Send + Sync>;

impl DecodeError {
    /// The stable code of the failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Empty => Code::ImageEmpty,
            Self::Unsupported { .. } => Code::DecodeUnsupported,
            Self::Corrupt { .. } => Code::DecodeCorrupt,
            Self::Panicked { .. } => Code::DecodeFailed,
            Self::TooLarge { .. } => Code::ImageTooLarge,
        }
    }

    pub(super) fn corrupt(format: ImageFormat, cause: impl Into<Cause>) -> Self {
        Self::Corrupt { format, source: cause.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), source: None }
    }

    /// A format that is read, but not this kind of it.
    pub(super) fn unsupported_kind(format: ImageFormat, cause: impl Into<Cause>) -> Self {
        let what = format!("the {} is of a kind that is not read", format.name());
        Self::Unsupported { what, source: Some(cause.into()) }
    }

    pub(super) fn too_large(what: impl Into<String>) -> Self {
        Self::TooLarge { what: what.into(), source: None }
    }

    /// A decoder met a limit before it told how large the image is.
    pub(super) fn over_decoder_limit(format: ImageFormat, cause: impl Into<Cause>) -> Self {
        let what = format!("decoding the {} takes more than the limits allow", format.name());
        Self::TooLarge { what, source: Some(cause.into()) }
    }
}
