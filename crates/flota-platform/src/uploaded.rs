//! Addresses and bounds of uploaded images, the same in every adapter.

use std::io;

use flota_core::{
    Code, PortError, Sha256,
    ports::{FetchError, UPLOADED_PREFIX},
};

/// What a client reads of an image that we do not have.
pub const NOT_FOUND_MESSAGE: &str = "no such image was uploaded";

/// What was being done where an image cannot be kept.
pub const KEEPING: &str = "keeping an image";

/// Why an image was not written: no room, too many files for the moment, or another fault.
pub fn not_kept(error: io::Error) -> PortError {
    use rustix::io::Errno;

    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            PortError::full(format!("{KEEPING}: the disk is full"), error)
        }
        io::ErrorKind::FileTooLarge => {
            let what =
                format!("{KEEPING}: the disk is full, for files may not be larger (ulimit -f)");
            PortError::full(what, error)
        }
        _ if is(Errno::MFILE) || is(Errno::NFILE) => PortError::transient(KEEPING, error),
        _ => PortError::permanent(KEEPING, error),
    }
}

/// The hash that `address` names.
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

/// Refuses an image of more than `max_bytes`.
pub fn check_size(size_bytes: u64, max_bytes: u64) -> Result<(), FetchError> {
    if size_bytes > max_bytes {
        let message = format!("the image has {size_bytes} bytes, and {max_bytes} is the limit");
        return Err(FetchError::new(Code::ImageTooLarge, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_another_fault() {
        for (kind, is_full) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::FileTooLarge, true),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            let error = not_kept(kind.into());
            assert_eq!(matches!(error, PortError::Full { .. }), is_full, "{error}");
            assert_eq!(error.to_string().contains("full"), is_full, "{error}");
        }
        let files = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert!(not_kept(files).is_transient(), "others close theirs");
    }
}
