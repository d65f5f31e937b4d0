//! A circuit breaker and a bulkhead per host, for whatever goes out to hosts that strangers named.
//!
//! Pure bookkeeping: callers bring the time, and do the calls.

mod host;
mod queue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use crate::Code;

pub use queue::HostQueue;

/// A host whose calls end within this time is quick: it may use the places that others may not.
pub const QUICK: Duration = Duration::from_secs(1);

/// The bounds of a [`HostQueue`].
#[derive(Debug, Clone)]
pub struct HostLimits {
    /// Most calls at once, to all hosts together. A third of them is for quick hosts only.
    pub at_once: usize,
    /// Most calls at once to one host.
    pub per_host: usize,
    /// Most that wait, for all hosts together.
    pub held: usize,
    /// Most that wait for one host, whatever its pace.
    pub held_per_slow_host: usize,
    /// Most that wait for a host that takes so many within [`HostLimits::ahead`].
    pub held_per_quick_host: usize,
    /// As much may wait for a host as it takes within this time.
    pub ahead: Duration,
    /// How far apart a host is taken to end its calls before the first has ended, and how far apart
    /// what waited for its breaker comes again.
    pub unknown_pace: Duration,
    /// Failures in a row that open the breaker of a host.
    pub breaker_failures: u32,
    /// How long the breaker stays open before one call at a time is tried.
    pub breaker_open: Duration,
    /// A call that is answered, but later than this, counts as half a failure. Such answers never
    /// open the breaker, but leave the host one call at a time.
    pub slow: Duration,
}

/// What a call said about its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host answered, whatever it answered.
    Answered,
    /// The host is down or overloaded.
    Failed {
        /// How long the host wants to be left alone; its breaker opens for that time at most
        /// [`HostLimits::breaker_open`] or a minute, whichever is longer.
        retry_after: Option<Duration>,
        /// What to report of calls that are not made because of this.
        fault: Option<HostFault>,
    },
    /// The call was not made, or its failure was ours.
    Unknown,
}

/// The last failure of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFault {
    /// The stable code.
    pub code: Code,
    /// One safe sentence.
    pub message: String,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The host that was called.
    pub host: String,
    /// What the call said about it.
    pub verdict: Verdict,
    /// How long the call took.
    pub took: Duration,
}

/// A place that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<T> {
    /// What asked for it.
    pub item: T,
    /// When to ask again.
    pub until: Timestamp,
    /// Why.
    pub why: Refusal,
}

/// Why a place was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker of the host is open.
    Open(Option<HostFault>),
    /// Too many wait for the host already.
    Busy,
}
