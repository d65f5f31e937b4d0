use std::time::Duration;

use flota_core::{
    Callback,
    hosts::{Ended, HostQueue},
};
use flota_platform::settings::NotifierSettings;
use jiff::Timestamp;
use url::Url;

/// The receivers by host: calls in progress, failures and waiting callbacks. It combines the
/// breaker and bulkhead of hosts with the schedule of callbacks.
pub(super) struct Receivers {
    queue: HostQueue<Callback>,
    /// Duration of the whole schedule.
    retry_window: Duration,
    timeout: Duration,
}

/// A callback to release, and when it should be due.
pub(super) type Released = (Callback, Timestamp);

impl Receivers {
    pub(super) fn new(settings: &NotifierSettings) -> Self {
        Self {
            queue: HostQueue::new(settings.receiver_limits()),
            retry_window: settings.schedule.iter().sum(),
            timeout: settings.timeout,
        }
    }

    /// Whether more callbacks may be claimed.
    pub(super) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// Adds a claimed callback. Returns it, with the time when it should be due again, if its
    /// receiver's breaker is open or too many callbacks wait for it.
    pub(super) fn admit(&mut self, callback: Callback, now: Timestamp) -> Option<Released> {
        let in_any_case = !has_time_left(self.retry_window, &callback, now);
        let host = host_of(&callback.url);
        let refused = self.queue.admit(&host, callback, now, in_any_case).err()?;
        Some((refused.item, refused.until))
    }

    /// The next callback to attempt, and its host. Callbacks whose claim would end before the
    /// attempt are dropped; they become due again.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<(String, Callback)> {
        let end = now + self.timeout;
        self.queue.begin(now, |callback| callback.due_at.is_some_and(|claim| claim > end))
    }

    /// Records the end of an attempt. If the receiver's breaker opened, returns the callbacks to
    /// release.
    pub(super) fn ended(&mut self, ended: &Ended, now: Timestamp) -> Vec<Released> {
        let retry_window = self.retry_window;
        self.queue.ended(ended, now, |callback| has_time_left(retry_window, callback, now))
    }

    /// Removes all waiting callbacks, to be released.
    pub(super) fn take_all(&mut self) -> Vec<Callback> {
        self.queue.take_all()
    }

    /// Forgets receivers that have not failed for a long time.
    pub(super) fn forget_old_failures(&mut self, now: Timestamp) {
        self.queue.forget_old_failures(now);
    }
}

/// Whether a breaker may delay this callback: only within the duration of its schedule. After that
/// it is attempted even if the breaker is open, so that it ends.
fn has_time_left(retry_window: Duration, callback: &Callback, now: Timestamp) -> bool {
    now < callback.created_at + retry_window
}

/// The receiver at a URL: its host, without the port.
fn host_of(address: &str) -> String {
    let host = Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use flota_core::{CallbackEvent, CallbackId, RequestId, hosts::Verdict};
    use flota_platform::settings::Settings;
    use uuid::Uuid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> (Receivers, Timestamp) {
        let settings = Settings::from_sources(None, [], &[]).unwrap().notifier;
        (Receivers::new(&settings), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn callback(n: usize, url: &str, now: Timestamp) -> Callback {
        let id = CallbackId { request: RequestId(Uuid::from_u128(n as u128)), round: 1 };
        let event = CallbackEvent::RequestFinished;
        Callback { due_at: Some(now + 60 * SECOND), ..Callback::new(id, url.into(), event, now) }
    }

    fn fail(receivers: &mut Receivers, now: Timestamp) -> Vec<Released> {
        let (host, _) = receivers.begin(now).unwrap();
        let verdict = Verdict::Failed { retry_after: None, fault: None };
        receivers.ended(&Ended { host, verdict, took: SECOND }, now)
    }

    #[test]
    fn the_ports_of_one_host_are_one_receiver() {
        let (mut receivers, now) = start();
        for n in 0..150 {
            let url = format!("http://slow.example:{}/hook", 20_000 + n);
            receivers.admit(callback(n, &url, now), now);
        }
        receivers.admit(callback(150, "https://quick.example/", now), now);
        let begun: Vec<String> =
            std::iter::from_fn(|| receivers.begin(now)).map(|(host, _)| host).collect();
        assert_eq!(begun.iter().filter(|host| *host == "slow.example").count(), 4);
        assert_eq!(begun.iter().filter(|host| *host == "quick.example").count(), 1);
    }

    #[test]
    fn a_breaker_holds_back_only_what_its_schedule_leaves_time_for() {
        let (mut receivers, now) = start();
        let mut old = callback(99, "https://receiver.example/", now);
        old.created_at = now - 30 * 24 * 3600 * SECOND;
        for n in 0..8 {
            receivers.admit(callback(n, "https://receiver.example/", now), now);
        }
        receivers.admit(old.clone(), now);
        let back: Vec<Released> = (0..5).flat_map(|_| fail(&mut receivers, now)).collect();
        assert_eq!(back.len(), 3);
        assert!(back.iter().all(|(_, due_at)| *due_at >= now + 60 * SECOND));
        let (_, tried) = receivers.begin(now).unwrap();
        assert_eq!(tried.id, old.id, "it would never end");
    }

    #[test]
    fn a_claim_that_would_end_first_is_dropped() {
        let (mut receivers, now) = start();
        let late = Callback {
            due_at: Some(now + SECOND),
            ..callback(1, "https://receiver.example/", now)
        };
        receivers.admit(late, now);
        assert!(receivers.begin(now).is_none());
    }
}
