use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use flota_core::Callback;
use flota_platform::settings::NotifierSettings;
use jiff::Timestamp;
use url::Url;

/// Most claimed callbacks held in memory; more are not claimed.
const MAX_HELD: usize = 1_024;
/// Most of them for one receiver: so many slow ones with deep backlogs leave room for the others.
const MAX_HELD_PER_RECEIVER: usize = 16;
/// The same for a receiver that takes more than that within [`QUICK`].
const MAX_HELD_PER_QUICK_RECEIVER: usize = 256;
/// As long as a quick receiver may keep others out, and about the time between two looks.
const QUICK: Duration = Duration::from_secs(1);
/// How far apart a receiver's callbacks are until its attempts tell: 16 fit into [`QUICK`].
const UNKNOWN_PACE: Duration = Duration::from_micros(62_500);
/// So much of the pace is that of the latest attempt: a quarter, so that one slow one passes.
const PACE_MEMORY: u32 = 4;
/// Soonest that one is looked at again for which its receiver had no room.
const MIN_OVERFLOW_WAIT: Duration = Duration::from_millis(250);
/// Latest, so that a receiver that got well is not left waiting.
const MAX_OVERFLOW_WAIT: Duration = Duration::from_secs(10 * 60);
/// After so many times the opening of a breaker without a failure the failures are forgotten.
const FORGET_AFTER_OPENINGS: u32 = 10;

/// Who is being called, who has failed, and what waits for each: pure bookkeeping.
pub(super) struct Receivers {
    per_receiver: usize,
    breaker_failures: u32,
    breaker_open: Duration,
    /// The time that the whole schedule takes.
    patience: Duration,
    timeout: Duration,
    by_host: HashMap<String, Receiver>,
    /// Receivers for which something may be begun, in turn.
    turns: VecDeque<String>,
    held_count: usize,
}

struct Receiver {
    under_way: usize,
    waiting: VecDeque<Callback>,
    /// Failures in a row.
    failures: u32,
    last_failure_at: Option<Timestamp>,
    open_until: Option<Timestamp>,
    /// How far apart it ends its callbacks, with all that may be under way at once.
    pace: Duration,
    /// When there is room for the next one that is given back.
    next_room_at: Timestamp,
    /// Whether it stands among the turns, where it is once at most.
    has_turn: bool,
}

/// How an attempt ended.
pub(super) struct Ended {
    /// Who was called.
    pub(super) host: String,
    /// Whether the receiver failed; `None` if we did.
    pub(super) receiver_failed: Option<bool>,
    /// How long it took.
    pub(super) took: Duration,
}

/// What is given back, with the time when it is to be due.
pub(super) type GivenBack = (Callback, Timestamp);

impl Receivers {
    pub(super) fn new(settings: &NotifierSettings) -> Self {
        Self {
            per_receiver: settings.per_receiver.max(1),
            breaker_failures: settings.breaker_failures.max(1),
            breaker_open: settings.breaker_open,
            patience: settings.schedule.iter().sum(),
            timeout: settings.timeout,
            by_host: HashMap::new(),
            turns: VecDeque::new(),
            held_count: 0,
        }
    }

    /// Whether more may be claimed.
    pub(super) fn has_room(&self) -> bool {
        self.held_count < MAX_HELD
    }

    /// Takes a claimed callback, or gives it back with the time when it is to be due again: its
    /// receiver's breaker is open, or too many wait for it.
    pub(super) fn admit(&mut self, callback: Callback, now: Timestamp) -> Option<GivenBack> {
        let is_patient = self.is_patient(&callback, now);
        let host = host_of(&callback.url);
        let receiver = self.by_host.entry(host.clone()).or_default();
        if let Some(open_until) = receiver.open_until.filter(|until| *until > now && is_patient) {
            return Some((callback, receiver.take_room(open_until)));
        }
        if receiver.waiting.len() >= receiver.most_held() {
            return Some((callback, receiver.take_room(now + MIN_OVERFLOW_WAIT)));
        }
        receiver.waiting.push_back(callback);
        self.held_count += 1;
        self.give_turn(&host);
        None
    }

    /// The next callback to begin now, and its receiver. Those whose claim would end before the
    /// attempt are dropped: they come again by themselves.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<(String, Callback)> {
        while let Some(host) = self.turns.pop_front() {
            let Some(receiver) = self.by_host.get_mut(&host) else { continue };
            receiver.has_turn = false;
            // After its breaker opened, a receiver is tried with one at a time.
            let is_suspect = receiver.failures >= self.breaker_failures;
            let most = if is_suspect { 1 } else { self.per_receiver };
            if receiver.under_way >= most {
                continue;
            }
            while let Some(callback) = receiver.waiting.pop_front() {
                self.held_count -= 1;
                if callback.due_at.is_some_and(|claim| claim > now + self.timeout) {
                    receiver.under_way += 1;
                    self.give_turn(&host);
                    return Some((host, callback));
                }
            }
            self.forget(&host, now);
        }
        None
    }

    /// Notes how an attempt ended. Returns what is to be given back because the receiver's breaker
    /// opened.
    pub(super) fn ended(&mut self, ended: &Ended, now: Timestamp) -> Vec<GivenBack> {
        let Some(receiver) = self.by_host.get_mut(&ended.host) else { return Vec::new() };
        receiver.under_way = receiver.under_way.saturating_sub(1);
        let apart = ended.took / u32::try_from(self.per_receiver).unwrap_or(u32::MAX);
        match ended.receiver_failed {
            Some(true) => receiver.note_failure(apart, now),
            Some(false) => receiver.note_answer(apart),
            None => {}
        }
        let mut given_back = Vec::new();
        if ended.receiver_failed == Some(true) && receiver.failures >= self.breaker_failures {
            let open_until = now + self.breaker_open;
            receiver.open_until = Some(open_until);
            let patience = self.patience;
            let (back, kept): (VecDeque<_>, _) = std::mem::take(&mut receiver.waiting)
                .into_iter()
                .partition(|callback| now < callback.created_at + patience);
            receiver.waiting = kept;
            self.held_count -= back.len();
            let give_back = |callback| (callback, receiver.take_room(open_until));
            given_back = back.into_iter().map(give_back).collect();
        }
        self.give_turn(&ended.host);
        self.forget(&ended.host, now);
        given_back
    }

    /// Everything that waits, to be given back.
    pub(super) fn take_all(&mut self) -> Vec<Callback> {
        self.held_count = 0;
        self.by_host.values_mut().flat_map(|receiver| receiver.waiting.drain(..)).collect()
    }

    /// Forgets the failures of receivers that have not failed for long. Their names are chosen by
    /// clients, so none is kept for ever.
    pub(super) fn forget_old_failures(&mut self, now: Timestamp) {
        let age = self.breaker_open.saturating_mul(FORGET_AFTER_OPENINGS);
        self.by_host.retain(|_, receiver| {
            receiver.is_wanted(now) || receiver.last_failure_at.is_some_and(|at| at + age > now)
        });
    }

    /// Whether a breaker may hold this callback back: within the time of its schedule. Later it is
    /// tried whatever its receiver's breaker says, or it would never end.
    fn is_patient(&self, callback: &Callback, now: Timestamp) -> bool {
        now < callback.created_at + self.patience
    }

    fn give_turn(&mut self, host: &str) {
        if let Some(receiver) = self.by_host.get_mut(host)
            && !receiver.has_turn
            && !receiver.waiting.is_empty()
        {
            receiver.has_turn = true;
            self.turns.push_back(host.to_owned());
        }
    }

    fn forget(&mut self, host: &str, now: Timestamp) {
        let is_idle = |receiver: &Receiver| !receiver.is_wanted(now) && receiver.failures == 0;
        if self.by_host.get(host).is_some_and(is_idle) {
            self.by_host.remove(host);
        }
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            under_way: 0,
            waiting: VecDeque::new(),
            failures: 0,
            last_failure_at: None,
            open_until: None,
            pace: UNKNOWN_PACE,
            next_room_at: Timestamp::UNIX_EPOCH,
            has_turn: false,
        }
    }
}

impl Receiver {
    fn note_failure(&mut self, apart: Duration, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure_at = Some(now);
        // One that refuses at once is not quick: its backlog would come again and again.
        self.note_pace(apart.max(UNKNOWN_PACE));
    }

    fn note_answer(&mut self, apart: Duration) {
        (self.failures, self.last_failure_at, self.open_until) = (0, None, None);
        self.note_pace(apart);
    }

    fn note_pace(&mut self, apart: Duration) {
        self.pace = (self.pace * (PACE_MEMORY - 1) + apart) / PACE_MEMORY;
    }

    /// Most that may wait here: what is ended soon, and a few in any case.
    fn most_held(&self) -> usize {
        let soon = QUICK.as_nanos() / self.pace.as_nanos().max(1);
        let soon = usize::try_from(soon).unwrap_or(usize::MAX);
        soon.clamp(MAX_HELD_PER_RECEIVER, MAX_HELD_PER_QUICK_RECEIVER)
    }

    /// When one that has no room now is to be looked at, `soonest` or later: behind those that were
    /// given back before it, so that a deep backlog comes again in its turn and not as a whole.
    fn take_room(&mut self, soonest: Timestamp) -> Timestamp {
        let at = self.next_room_at.clamp(soonest, soonest + MAX_OVERFLOW_WAIT);
        self.next_room_at = at + self.pace;
        at
    }

    /// Whether something is under way, waits, or was given back and comes again.
    fn is_wanted(&self, now: Timestamp) -> bool {
        self.under_way > 0 || !self.waiting.is_empty() || self.next_room_at > now
    }
}

/// Who answers at an address: host and port.
fn host_of(address: &str) -> String {
    let Ok(url) = Url::parse(address) else { return address.to_owned() };
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use flota_core::{CallbackEvent, CallbackId, RequestId};
    use flota_platform::settings::Settings;
    use uuid::Uuid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SLOW: Duration = Duration::from_secs(14);
    const HOST: &str = "receiver.example:443";

    fn start() -> (Receivers, Timestamp) {
        let settings = Settings::from_sources(None, [], &[]).unwrap().notifier;
        (Receivers::new(&settings), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn callback(n: usize, url: String, now: Timestamp) -> Callback {
        let id = CallbackId { request: RequestId(Uuid::from_u128(n as u128)), round: 1 };
        let event = CallbackEvent::RequestFinished;
        Callback { due_at: Some(now + 60 * SECOND), ..Callback::new(id, url, event, now) }
    }

    /// Offers `count` to one receiver; when those are to be due that are given back.
    fn offer(receivers: &mut Receivers, count: usize, now: Timestamp) -> Vec<Timestamp> {
        let offered = (0..count).map(|n| callback(n, "https://receiver.example/".into(), now));
        offered.filter_map(|one| receivers.admit(one, now)).map(|(_, due_at)| due_at).collect()
    }

    fn end(
        receivers: &mut Receivers,
        receiver_failed: Option<bool>,
        took: Duration,
        now: Timestamp,
    ) -> Vec<GivenBack> {
        let (host, _) = receivers.begin(now).unwrap();
        receivers.ended(&Ended { host, receiver_failed, took }, now)
    }

    #[test]
    fn a_name_that_failed_once_is_not_kept_for_ever() {
        let (mut receivers, now) = start();
        for n in 0..100 {
            receivers.admit(callback(n, format!("https://{n}.example/"), now), now);
            end(&mut receivers, Some(true), SECOND, now);
        }
        receivers.forget_old_failures(now + 60 * SECOND);
        assert_eq!(receivers.by_host.len(), 100, "failures in a row are counted");
        receivers.forget_old_failures(now + 3600 * SECOND);
        assert!(receivers.by_host.is_empty());
    }

    #[test]
    fn a_receiver_that_fails_again_is_remembered_from_then() {
        let (mut receivers, now) = start();
        let later = now + 500 * SECOND;
        for at in [now, later] {
            receivers.admit(callback(0, "https://receiver.example/".into(), at), at);
            end(&mut receivers, Some(true), SECOND, at);
        }
        receivers.forget_old_failures(later + 500 * SECOND);
        assert_eq!(receivers.by_host[HOST].failures, 2);
        receivers.forget_old_failures(later + 601 * SECOND);
        assert!(receivers.by_host.is_empty());
    }

    #[test]
    fn a_deep_backlog_of_a_slow_receiver_comes_again_in_its_turn() {
        let (mut receivers, now) = start();
        offer(&mut receivers, MAX_HELD_PER_RECEIVER, now);
        for _ in 0..8 {
            end(&mut receivers, Some(false), SLOW, now);
        }
        let due = offer(&mut receivers, 1000, now);
        assert_eq!(due.len(), 1000 - 8);
        assert!(due.is_sorted());
        let within = |wait: Duration| due.iter().filter(|at| **at <= now + wait).count();
        assert!(within(60 * SECOND) <= 60, "the backlog was to come again as a whole");
        assert_eq!(within(MAX_OVERFLOW_WAIT + SECOND), due.len());
    }

    #[test]
    fn a_quick_receiver_is_held_more_for_and_a_failing_one_is_not_quick() {
        let (mut receivers, now) = start();
        for (is_failing, most) in [(false, MAX_HELD_PER_QUICK_RECEIVER), (true, 16)] {
            offer(&mut receivers, 1, now);
            for _ in 0..64 {
                offer(&mut receivers, 1, now);
                end(&mut receivers, Some(false), SECOND / 500, now);
            }
            // Failures short of the breaker.
            for _ in 0..4 * usize::from(is_failing) {
                offer(&mut receivers, 1, now);
                end(&mut receivers, Some(true), SLOW, now);
            }
            offer(&mut receivers, 1000, now);
            assert_eq!(receivers.by_host[HOST].waiting.len(), most);
            receivers = start().0;
        }
    }

    #[test]
    fn the_pace_is_known_while_something_is_to_come_again() {
        let (mut receivers, now) = start();
        let last = offer(&mut receivers, 40, now).pop().unwrap();
        for _ in 0..MAX_HELD_PER_RECEIVER {
            end(&mut receivers, Some(false), SECOND / 500, now);
        }
        assert!(receivers.by_host[HOST].most_held() > MAX_HELD_PER_RECEIVER);
        receivers.forget_old_failures(last);
        assert_eq!(receivers.by_host.len(), 1);
        receivers.forget_old_failures(last + SECOND);
        assert!(receivers.by_host.is_empty());
    }

    #[test]
    fn a_breaker_gives_its_backlog_back_in_turn_and_not_before_it_ends() {
        let (mut receivers, now) = start();
        offer(&mut receivers, 20, now);
        let back: Vec<GivenBack> =
            (0..5).flat_map(|_| end(&mut receivers, Some(true), Duration::ZERO, now)).collect();
        let open_until = now + 60 * SECOND;
        let mut due: Vec<Timestamp> = back.into_iter().map(|(_, due_at)| due_at).collect();
        due.extend(offer(&mut receivers, 1000, now));
        assert_eq!(receivers.held_count, 0);
        assert_eq!(due[0], open_until);
        assert!(due.is_sorted_by(|before, after| before < after), "all at once");
    }
}
