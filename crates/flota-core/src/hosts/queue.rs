//! Items that wait for a call to their host. Hosts take turns.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use super::{Ended, HostFault, HostLimits, Refusal, Refused, Verdict, host::Host};

/// Shortest time until an item comes again for which its host had no room.
const MIN_OVERFLOW_WAIT: Duration = Duration::from_millis(250);
/// One in this many places is reserved for quick hosts.
const QUICK_PART: usize = 3;
/// Failures are forgotten if none followed within this many times the duration of an open breaker.
const FORGET_AFTER_OPENINGS: u32 = 10;
/// Longest time for which one `Retry-After` opens a breaker: one path of a host must not block it
/// for all.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Most idle hosts that are remembered. Clients choose the names, so there is a bound.
const MAX_IDLE_HOSTS: usize = 4_096;

/// Items that wait for a call to their host. It bounds the calls at once, in total and per host;
/// hosts take turns, and a host whose breaker is open gets no calls.
pub struct HostQueue<T> {
    limits: HostLimits,
    by_host: HashMap<String, Host<T>>,
    /// The hosts that may begin a call, in the order of their turns.
    turns: VecDeque<String>,
    held_count: usize,
    under_way_count: usize,
}

impl<T> HostQueue<T> {
    /// An empty queue.
    pub fn new(limits: HostLimits) -> Self {
        Self {
            limits,
            by_host: HashMap::new(),
            turns: VecDeque::new(),
            held_count: 0,
            under_way_count: 0,
        }
    }

    /// Whether more items may wait.
    pub fn has_room(&self) -> bool {
        self.held_count < self.limits.held
    }

    /// Lets `item` wait for a call to `host`.
    ///
    /// # Errors
    /// If too many items wait for the host, or if its breaker is open and `in_any_case` is false.
    pub fn admit(
        &mut self,
        host: &str,
        item: T,
        now: Timestamp,
        in_any_case: bool,
    ) -> Result<(), Refused<T>> {
        let limits = &self.limits;
        let known = self.by_host.entry(host.to_owned()).or_insert_with(|| Host::new(limits));
        if let Some(open_until) = known.open_until.filter(|until| *until > now && !in_any_case) {
            let until = known.room_when_open(open_until, limits);
            return Err(Refused { item, until, why: Refusal::Open(known.fault.clone()) });
        }
        if known.waiting.len() >= known.most_held(limits) {
            let until = known.room_when_busy(now + MIN_OVERFLOW_WAIT);
            return Err(Refused { item, until, why: Refusal::Busy });
        }
        known.waiting.push_back(item);
        self.held_count += 1;
        self.give_turn(host);
        Ok(())
    }

    /// When an item that waited for `host` in vain, and has left the queue, should come again.
    pub fn overflow(&mut self, host: &str, now: Timestamp) -> Timestamp {
        let limits = &self.limits;
        let known = self.by_host.entry(host.to_owned()).or_insert_with(|| Host::new(limits));
        known.note_waited(limits);
        known.room_when_busy(now + MIN_OVERFLOW_WAIT)
    }

    /// Removes the next item whose call may begin now, and returns it with its host. Items for
    /// which `is_wanted` is false are dropped.
    pub fn begin(&mut self, now: Timestamp, is_wanted: impl Fn(&T) -> bool) -> Option<(String, T)> {
        for _ in 0..self.turns.len() {
            if self.under_way_count >= self.limits.at_once.max(1) {
                return None;
            }
            let host = self.turns.pop_front()?;
            let has_place = self.has_place(&host);
            let Some(known) = self.by_host.get_mut(&host) else { continue };
            known.has_turn = false;
            let most = if known.is_suspect(&self.limits) { 1 } else { self.limits.per_host.max(1) };
            if known.under_way >= most {
                continue;
            }
            while has_place && let Some(item) = known.waiting.pop_front() {
                self.held_count -= 1;
                if is_wanted(&item) {
                    known.under_way += 1;
                    self.under_way_count += 1;
                    self.give_turn(&host);
                    return Some((host, item));
                }
            }
            self.give_turn(&host);
            self.forget(&host, now);
        }
        None
    }

    /// Records the end of a call. If the breaker of the host opened, it returns the items that
    /// leave the queue, each with the time when it should come again; items that cannot come again
    /// stay.
    pub fn ended(
        &mut self,
        ended: &Ended,
        now: Timestamp,
        may_come_again: impl Fn(&T) -> bool,
    ) -> Vec<(T, Timestamp)> {
        self.under_way_count = self.under_way_count.saturating_sub(1);
        let Some(known) = self.by_host.get_mut(&ended.host) else { return Vec::new() };
        known.under_way = known.under_way.saturating_sub(1);
        let mut released = Vec::new();
        match &ended.verdict {
            Verdict::Unknown => {}
            Verdict::Answered => known.note_answer(ended.took, &self.limits, now),
            Verdict::Failed { retry_after, fault } => {
                known.note_failure(ended.took, &self.limits, now);
                known.fault.clone_from(fault);
                let longest = MAX_PAUSE.max(self.limits.breaker_open);
                let asked = retry_after.unwrap_or_default().min(longest);
                let own = match known.is_suspect(&self.limits) {
                    true => self.limits.breaker_open,
                    false => Duration::ZERO,
                };
                let open = asked.max(own);
                if !open.is_zero() {
                    let open_until = (now + open).max(known.open_until.unwrap_or(now));
                    known.open_until = Some(open_until);
                    let (back, kept): (VecDeque<_>, _) =
                        std::mem::take(&mut known.waiting).into_iter().partition(may_come_again);
                    known.waiting = kept;
                    self.held_count -= back.len();
                    let limits = &self.limits;
                    let release = |item| (item, known.room_when_open(open_until, limits));
                    released = back.into_iter().map(release).collect();
                }
            }
        }
        self.give_turn(&ended.host);
        self.forget(&ended.host, now);
        released
    }

    /// When an item whose call to `host` failed should come again. `None` if the breaker is closed;
    /// the caller decides then.
    pub fn after_failure(&mut self, host: &str, now: Timestamp) -> Option<Timestamp> {
        let known = self.by_host.get_mut(host)?;
        let until = known.open_until.filter(|until| *until > now)?;
        Some(known.room_when_open(until, &self.limits))
    }

    /// Whether calls to `host` are known to end within [`QUICK`](super::QUICK).
    pub fn is_quick(&self, host: &str) -> bool {
        self.by_host.get(host).is_some_and(|host| host.is_quick(&self.limits))
    }

    /// The last failure of `host`, if the call named one.
    pub fn fault(&self, host: &str) -> Option<HostFault> {
        self.by_host.get(host)?.fault.clone()
    }

    /// Removes and returns all waiting items.
    pub fn take_all(&mut self) -> Vec<T> {
        self.held_count = 0;
        self.by_host.values_mut().flat_map(|host| host.waiting.drain(..)).collect()
    }

    /// Forgets idle hosts that have not failed for a long time.
    pub fn forget_old_failures(&mut self, now: Timestamp) {
        let age = self.limits.breaker_open.saturating_mul(FORGET_AFTER_OPENINGS);
        let is_full = self.by_host.len() > MAX_IDLE_HOSTS;
        self.by_host.retain(|_, host| {
            let is_fresh = host.last_failure_at.is_some_and(|at| at + age > now);
            let is_known = host.is_quick(&self.limits) && !is_full;
            host.is_needed(now) || is_fresh || is_known
        });
    }

    /// How many hosts are remembered.
    #[cfg(test)]
    pub(super) fn host_count(&self) -> usize {
        self.by_host.len()
    }

    #[cfg(test)]
    pub(super) fn held_count(&self) -> usize {
        self.held_count
    }

    #[cfg(test)]
    pub(super) fn waiting_count(&self, host: &str) -> usize {
        self.by_host.get(host).map_or(0, |host| host.waiting.len())
    }

    /// Whether `host` may take one of the places that are left. The last third is reserved for
    /// quick hosts, so that slow and unknown hosts never take all places.
    fn has_place(&self, host: &str) -> bool {
        let at_once = self.limits.at_once.max(1);
        let for_all = at_once - at_once / QUICK_PART;
        if self.under_way_count < for_all {
            return true;
        }
        let is_quick = |host: &Host<T>| host.is_quick(&self.limits);
        if self.is_quick(host) {
            return true;
        }
        let others = self.by_host.values().filter(|host| !is_quick(host));
        others.map(|host| host.under_way).sum::<usize>() < for_all
    }

    fn give_turn(&mut self, host: &str) {
        if let Some(known) = self.by_host.get_mut(host)
            && !known.has_turn
            && !known.waiting.is_empty()
        {
            known.has_turn = true;
            self.turns.push_back(host.to_owned());
        }
    }

    /// Forgets a host with nothing worth remembering. That it is quick is worth remembering.
    fn forget(&mut self, host: &str, now: Timestamp) {
        let is_idle = |host: &Host<T>| {
            !host.is_needed(now) && host.is_sound() && !host.is_quick(&self.limits)
        };
        if self.by_host.get(host).is_some_and(is_idle) {
            self.by_host.remove(host);
        }
    }
}
