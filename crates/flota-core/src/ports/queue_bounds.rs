//! Limits that all queue adapters enforce in the same way.

use std::time::Duration;

use super::NewMessage;
use crate::{
    PortError, PortResult,
    limits::{MAX_LEASE, MAX_MESSAGE_BYTES, MAX_MESSAGE_DELAY, MAX_QUEUE_BATCH},
};

/// A clock that goes back by less is ignored: processes that share a store read slightly different
/// times.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// Checks the number of entries in a call.
///
/// # Errors
/// If it has more than [`MAX_QUEUE_BATCH`].
pub fn check_batch<T>(entries: &[T]) -> PortResult<()> {
    if entries.len() > MAX_QUEUE_BATCH {
        let why = format!("{} entries, and {MAX_QUEUE_BATCH} is the limit", entries.len());
        return Err(PortError::permanent("calling a queue", why));
    }
    Ok(())
}

/// Checks the size and the delay of a message.
///
/// # Errors
/// If it exceeds [`MAX_MESSAGE_BYTES`] or [`MAX_MESSAGE_DELAY`].
pub fn check_message(message: &NewMessage) -> PortResult<()> {
    if message.body.len() > MAX_MESSAGE_BYTES {
        let why = format!(
            "its body has {} bytes, and {MAX_MESSAGE_BYTES} is the limit",
            message.body.len()
        );
        return Err(PortError::permanent("sending a message", why));
    }
    if message.delay > MAX_MESSAGE_DELAY {
        let why = format!(
            "its delay is {} s, and {} s is the limit",
            message.delay.as_secs(),
            MAX_MESSAGE_DELAY.as_secs()
        );
        return Err(PortError::permanent("sending a message", why));
    }
    Ok(())
}

/// Checks the length of a lease.
///
/// # Errors
/// If it exceeds [`MAX_LEASE`].
pub fn check_lease(lease: Duration) -> PortResult<()> {
    if lease > MAX_LEASE {
        let why =
            format!("{} s is asked, and {} s is the limit", lease.as_secs(), MAX_LEASE.as_secs());
        return Err(PortError::permanent("leasing a message", why));
    }
    Ok(())
}

/// The error for a lease that expired, or that a later delivery took over.
pub fn lost_lease() -> PortError {
    PortError::permanent("extending a lease", "the lease is no longer ours")
}
