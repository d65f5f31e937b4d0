//! URLs and limits of uploaded images, the same for all adapters.

use super::{FetchError, UPLOADED_PREFIX};
use crate::{Code, Sha256};

/// The message for an image that is not stored.
pub const NOT_FOUND_MESSAGE: &str = "no such image was uploaded";

/// Parses the hash in `address`.
///
/// # Errors
/// If it is not the URL of an uploaded image.
pub fn parse(address: &str) -> Result<Sha256, FetchError> {
    let Some(digits) = address.strip_prefix(UPLOADED_PREFIX) else {
        let message = format!("only addresses that begin with {UPLOADED_PREFIX} are kept here");
        return Err(FetchError::new(Code::FetchForbiddenAddress, message));
    };
    digits.parse().map_err(|_| {
        let message = format!("an uploaded image is {UPLOADED_PREFIX} and 64 hexadecimal digits");
        FetchError::new(Code::FetchNotFound, message)
    })
}

/// Checks the size of an image.
///
/// # Errors
/// `IMAGE_TOO_LARGE` if it has more than `max_bytes`.
pub fn check_size(size_bytes: u64, max_bytes: u64) -> Result<(), FetchError> {
    if size_bytes > max_bytes {
        let message = format!("the image has {size_bytes} bytes, and {max_bytes} is the limit");
        return Err(FetchError::new(Code::ImageTooLarge, message));
    }
    Ok(())
}
