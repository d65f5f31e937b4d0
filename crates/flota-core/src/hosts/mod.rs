//! A circuit breaker and a bulkhead per host, for calls to hosts that clients name.
//!
//! It only keeps state: callers pass the time and make the calls.

mod host;
mod queue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use crate::Code;

pub use queue::HostQueue;

/// A host whose calls end within this time is quick, and may use the places that are reserved for
/// quick hosts.
pub const QUICK: Duration = Duration::from_secs(1);

/// The bounds of a [`HostQueue`].
#[derive(Debug, Clone)]
pub struct HostLimits {
    /// Most calls at once to all hosts. A third of them is reserved for quick hosts.
    pub at_once: usize,
    /// Most calls at once to one host.
    pub per_host: usize,
    /// Most items that wait, over all hosts.
    pub held: usize,
    /// Most items that wait for one host, however slow it is.
    pub held_per_slow_host: usize,
    /// Most items that wait for a host which finishes that many within [`HostLimits::ahead`].
    pub held_per_quick_host: usize,
    /// As many items may wait for a host as it finishes within this time.
    pub ahead: Duration,
    /// The assumed time between the ends of a host's calls until the first one has ended. Also the
    /// spacing of items that come again after the breaker was open.
    pub unknown_pace: Duration,
    /// Failures in a row that open the breaker of a host.
    pub breaker_failures: u32,
    /// How long the breaker stays open before one call at a time is tried.
    pub breaker_open: Duration,
    /// An answer that takes longer counts as half a failure. Slow answers never open the breaker,
    /// but reduce the host to one call at a time.
    pub slow: Duration,
}

/// What the result of a call says about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host answered, with any status.
    Answered,
    /// The host is down or overloaded.
    Failed {
        /// How long the host asks not to be called. The breaker opens for that time, at most for
        /// [`HostLimits::breaker_open`] or a minute, whichever is longer.
        retry_after: Option<Duration>,
        /// The fault to report for calls that are skipped because of this failure.
        fault: Option<HostFault>,
    },
    /// The call was not made, or failed because of us.
    Unknown,
}

/// The last failure of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFault {
    /// The stable code.
    pub code: Code,
    /// One sentence that is safe to show to clients.
    pub message: String,
}

/// The end of a call.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The host that was called.
    pub host: String,
    /// The result.
    pub verdict: Verdict,
    /// How long the call took.
    pub took: Duration,
}

/// An item that may not wait for its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<T> {
    /// The item.
    pub item: T,
    /// When the item should come again.
    pub until: Timestamp,
    /// The reason.
    pub why: Refusal,
}

/// Why an item may not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker of the host is open.
    Open(Option<HostFault>),
    /// Too many items wait for the host.
    Busy,
}
