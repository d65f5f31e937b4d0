//! Fetching images, and what is done about hosts that fail.

use std::time::Duration;

use flota_core::{hosts::HostLimits, limits::MAX_MESSAGE_DELAY};
use serde::Deserialize;

use super::{NetworkSettings, NotifierSettings, Settings, parse};
use crate::net::{AddressPolicy, FetchLimits};

/// The part of the fetches at once that one host may have.
const HOST_PART: usize = 4;
/// Most fetches that wait for a place: a worker has no more tasks in flight.
const MAX_WAITING_FETCHES: usize = 10_000;
/// Fetches that wait for a slow host, which hold up others meanwhile.
const WAITING_PER_SLOW_HOST: usize = 8;
/// The same for a host that takes more than that within [`FETCHES_AHEAD`].
const WAITING_PER_QUICK_HOST: usize = 256;
/// As long as a worker has tasks in flight before they are begun.
const FETCHES_AHEAD: Duration = Duration::from_secs(4);
/// How far apart a host ends its fetches until the first tells, and what waited for its breaker comes
/// again: 2,000 images within 40 seconds.
const UNKNOWN_FETCH_PACE: Duration = Duration::from_millis(20);
/// Most claimed callbacks held in memory; more are not claimed.
const MAX_WAITING_CALLBACKS: usize = 1_024;
/// Most of them for one slow receiver: so many slow ones with deep backlogs leave room for the others.
const WAITING_PER_SLOW_RECEIVER: usize = 16;
/// As long as a quick receiver may keep others out, and about the time between two looks.
const CALLBACKS_AHEAD: Duration = Duration::from_secs(1);
/// The same as for fetches: 16 callbacks in a second.
const UNKNOWN_CALLBACK_PACE: Duration = Duration::from_micros(62_500);
/// Callbacks under way at once to one receiver, whatever its ports.
const CALLBACKS_PER_RECEIVER: usize = 4;
/// So many failures in a row open the breaker of a receiver.
const BREAKER_FAILURES: u32 = 5;
/// The longest `Retry-After` of an image's host that is honoured: SQS delays a message no longer.
const MAX_RETRY_AFTER: Duration = MAX_MESSAGE_DELAY;
/// Redirects followed for an image; callbacks follow none.
const MAX_REDIRECTS: usize = 3;
/// An answer that takes more than this part of the longest time counts as half a failure.
const SLOW_PART: u32 = 2;

/// Fetching images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchSettings {
    /// How long an image is tried whose host fails.
    #[serde(rename = "retry_for_ms", deserialize_with = "parse::millis")]
    pub retry_for: Duration,
    /// From the look-up of a host's name to the head of its answer.
    #[serde(rename = "first_byte_ms", deserialize_with = "parse::millis")]
    pub first_byte: Duration,
    /// The slowest body, in bytes a second.
    pub min_bytes_per_second: u64,
    /// So many failures in a row open a host's breaker.
    pub breaker_failures: u32,
    /// How long it stays open.
    #[serde(rename = "breaker_open_ms", deserialize_with = "parse::millis")]
    pub breaker_open: Duration,
}

impl NetworkSettings {
    /// Where HTTP may go.
    pub fn policy(&self) -> AddressPolicy {
        AddressPolicy::new(self.allow.clone()).on_ports(self.ports.clone())
    }
}

impl Settings {
    /// The bounds of a fetch from the web.
    pub fn fetch_limits(&self) -> FetchLimits {
        FetchLimits {
            deadline: self.worker.fetch_timeout,
            first_byte: self.fetch.first_byte,
            min_bytes_per_second: self.fetch.min_bytes_per_second,
            max_redirects: MAX_REDIRECTS,
            max_retry_after: MAX_RETRY_AFTER,
        }
    }

    /// The breaker and the bulkhead of hosts on the web: none has more than a quarter of the fetches.
    pub fn web_limits(&self) -> HostLimits {
        let at_once = self.worker.fetch_concurrency.max(1);
        HostLimits {
            at_once,
            per_host: at_once.div_ceil(HOST_PART),
            held: MAX_WAITING_FETCHES,
            held_per_slow_host: WAITING_PER_SLOW_HOST,
            held_per_quick_host: WAITING_PER_QUICK_HOST,
            ahead: FETCHES_AHEAD,
            unknown_pace: UNKNOWN_FETCH_PACE,
            breaker_failures: self.fetch.breaker_failures,
            breaker_open: self.fetch.breaker_open,
            slow: self.worker.fetch_timeout / SLOW_PART,
        }
    }

    /// The same of buckets of S3, which have slots of their own: one may have all of them.
    pub fn object_limits(&self) -> HostLimits {
        let web = self.web_limits();
        HostLimits { per_host: web.at_once, held_per_slow_host: WAITING_PER_QUICK_HOST, ..web }
    }
}

impl NotifierSettings {
    /// The longest `Retry-After` of a receiver that is honoured.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
    /// Callbacks under way at once.
    pub const CALLBACKS_AT_ONCE: usize = 64;

    /// The breaker and the bulkhead of receivers.
    pub fn receiver_limits(&self) -> HostLimits {
        HostLimits {
            at_once: Self::CALLBACKS_AT_ONCE,
            per_host: CALLBACKS_PER_RECEIVER,
            held: MAX_WAITING_CALLBACKS,
            held_per_slow_host: WAITING_PER_SLOW_RECEIVER,
            held_per_quick_host: WAITING_PER_QUICK_HOST,
            ahead: CALLBACKS_AHEAD,
            unknown_pace: UNKNOWN_CALLBACK_PACE,
            breaker_failures: BREAKER_FAILURES,
            breaker_open: self.breaker_open,
            slow: self.timeout / SLOW_PART,
        }
    }
}
