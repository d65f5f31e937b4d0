//! One host: its breaker, its pace, and the items that wait for it.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::{HostFault, HostLimits, QUICK};

/// The latest call contributes one part in this many to the pace, so that one slow call changes
/// little.
const PACE_MEMORY: u32 = 4;
/// Longest time until a refused item is to come again, so that a host that has recovered gets calls
/// soon.
const MAX_OVERFLOW_WAIT: Duration = Duration::from_secs(10 * 60);
/// Failures are counted in halves.
const FAILURE: u32 = 2;
const SLOW_ANSWER: u32 = 1;

pub(super) struct Host<T> {
    pub(super) under_way: usize,
    pub(super) waiting: VecDeque<T>,
    pub(super) open_until: Option<Timestamp>,
    pub(super) fault: Option<HostFault>,
    pub(super) last_failure_at: Option<Timestamp>,
    /// Whether the host is in the queue of turns, which holds each host at most once.
    pub(super) has_turn: bool,
    /// Failures since the last fast answer, in halves.
    failures: u32,
    has_answered: bool,
    /// The average time between the ends of its calls, if it has as many calls at once as it may.
    pace: Duration,
    /// When the next refused item may come again.
    next_room_at: Timestamp,
}

impl<T> Host<T> {
    pub(super) fn new(limits: &HostLimits) -> Self {
        Self {
            under_way: 0,
            waiting: VecDeque::new(),
            open_until: None,
            fault: None,
            last_failure_at: None,
            has_turn: false,
            failures: 0,
            has_answered: false,
            pace: limits.unknown_pace,
            next_room_at: Timestamp::UNIX_EPOCH,
        }
    }

    pub(super) fn note_failure(&mut self, took: Duration, limits: &HostLimits, now: Timestamp) {
        self.failures = self.failures.saturating_add(FAILURE);
        self.last_failure_at = Some(now);
        // A host that fails at once is not fast.
        self.note_pace(apart(took, limits).max(limits.unknown_pace));
    }

    pub(super) fn note_answer(&mut self, took: Duration, limits: &HostLimits, now: Timestamp) {
        (self.open_until, self.fault, self.has_answered) = (None, None, true);
        if took > limits.slow {
            let most = threshold(limits).max(self.failures);
            self.failures = (self.failures + SLOW_ANSWER).min(most);
            self.last_failure_at = Some(now);
        } else {
            (self.failures, self.last_failure_at) = (0, None);
        }
        self.note_pace(apart(took, limits));
    }

    /// Records that an item waited for the host in vain. If no call has ended yet, the host is
    /// taken for slow.
    pub(super) fn note_waited(&mut self, limits: &HostLimits) {
        if !self.has_answered {
            let held = u32::try_from(limits.held_per_slow_host.max(1)).unwrap_or(u32::MAX);
            self.pace = self.pace.max(limits.ahead / held);
        }
    }

    /// Whether the host gets one call at a time.
    pub(super) fn is_suspect(&self, limits: &HostLimits) -> bool {
        self.failures >= threshold(limits)
    }

    /// Whether no failure of the host is remembered.
    pub(super) fn is_sound(&self) -> bool {
        self.failures == 0
    }

    pub(super) fn is_quick(&self, limits: &HostLimits) -> bool {
        let per_host = u32::try_from(limits.per_host).unwrap_or(u32::MAX);
        self.has_answered && self.is_sound() && self.pace.saturating_mul(per_host) <= QUICK
    }

    /// Most items that may wait: as many as the host finishes soon, within the bounds of `limits`.
    pub(super) fn most_held(&self, limits: &HostLimits) -> usize {
        let soon = limits.ahead.as_nanos() / self.pace.as_nanos().max(1);
        let soon = usize::try_from(soon).unwrap_or(usize::MAX);
        soon.clamp(limits.held_per_slow_host, limits.held_per_quick_host)
    }

    /// When an item should come again if the host has no room.
    pub(super) fn room_when_busy(&mut self, soonest: Timestamp) -> Timestamp {
        self.take_room(soonest, self.pace)
    }

    /// When an item should come again that waits for the breaker to close.
    pub(super) fn room_when_open(&mut self, end: Timestamp, limits: &HostLimits) -> Timestamp {
        self.take_room(end, limits.unknown_pace)
    }

    /// Assigns the next time slot after the items that were refused before, so that a deep backlog
    /// comes back spread out.
    fn take_room(&mut self, soonest: Timestamp, apart: Duration) -> Timestamp {
        let at = self.next_room_at.clamp(soonest, soonest + MAX_OVERFLOW_WAIT);
        self.next_room_at = at + apart;
        at
    }

    /// Whether a call is under way, an item waits, or a refused item will come again.
    pub(super) fn is_needed(&self, now: Timestamp) -> bool {
        self.under_way > 0 || !self.waiting.is_empty() || self.next_room_at > now
    }

    fn note_pace(&mut self, apart: Duration) {
        self.pace = (self.pace * (PACE_MEMORY - 1) + apart) / PACE_MEMORY;
    }
}

fn apart(took: Duration, limits: &HostLimits) -> Duration {
    took / u32::try_from(limits.per_host.max(1)).unwrap_or(u32::MAX)
}

fn threshold(limits: &HostLimits) -> u32 {
    limits.breaker_failures.max(1).saturating_mul(FAILURE)
}
