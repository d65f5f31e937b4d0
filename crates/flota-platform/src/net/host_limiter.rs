//! Who may fetch from which host now.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flota_core::{
    hosts::{Ended, HostFault, HostLimits, HostQueue, Refusal, Verdict},
    ports::{Clock, FetchError, Retry},
};
use jiff::Timestamp;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

/// Longest wait for a place at a host. A waiting task holds up others, so it is released and comes again instead.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// The same in units of it where the host is quick, and the wait is sure to end.
const DELAYS_WITH_QUICK: u32 = 4;
/// How often old failures are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(10);
/// What is said of a host whose breaker was opened without a word.
const LEFT_ALONE: &str = "the image's server failed and is left alone for a while";
const BUSY: &str = "the image's server has as many fetches as it may have";

/// Places for fetches: so many at once, and per host; none while the breaker of a host is open.
#[derive(Clone)]
pub struct HostLimiter(Arc<Inner>);

struct Inner {
    queue: Mutex<HostQueue<oneshot::Sender<Answer>>>,
    forgotten_at: Mutex<Instant>,
    /// Places whose calls have not begun: while there are any, it is us who are slow.
    idle_count: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// What becomes of one that waits.
enum Answer {
    Place(HostPlace),
    /// The breaker opened meanwhile.
    ComeAgain(Timestamp),
}

/// The right to make one call to a host. Dropped, it says nothing about the host.
pub(super) struct HostPlace {
    limiter: HostLimiter,
    host: String,
    /// `None` while the call has not begun.
    begun: Option<Instant>,
    is_ended: bool,
}

impl HostLimiter {
    /// A limiter within `limits`.
    pub fn new(limits: HostLimits, clock: Arc<dyn Clock>) -> Self {
        let queue = Mutex::new(HostQueue::new(limits));
        let forgotten_at = Mutex::new(Instant::now());
        let idle_count = AtomicUsize::new(0);
        Self(Arc::new(Inner { queue, forgotten_at, idle_count, clock }))
    }

    /// Waits shortly for a place at `host`.
    ///
    /// # Errors
    /// If there is none: the error says when to come again.
    pub(super) async fn enter(&self, host: &str) -> Result<HostPlace, FetchError> {
        self.forget_old_failures();
        let (reply, mut answer) = oneshot::channel();
        let now = self.0.clock.now();
        let admitted = self.queue().admit(host, reply, now, false);
        if let Err(refused) = admitted {
            let after = wait(now, refused.until);
            return Err(match refused.why {
                Refusal::Open(fault) => left_alone(fault, after),
                Refusal::Busy => busy(after),
            });
        }
        self.begin();
        let mut waits = 0;
        let answered = loop {
            match timeout(MAX_DELAY, &mut answer).await {
                Ok(answered) => break answered.ok(),
                Err(_) if self.may_wait_on(host, waits) => waits += 1,
                Err(_) => break None,
            }
        };
        match answered {
            Some(Answer::Place(place)) => Ok(place),
            Some(Answer::ComeAgain(until)) => {
                let fault = self.queue().fault(host);
                Err(left_alone(fault, wait(self.0.clock.now(), until)))
            }
            None => {
                let now = self.0.clock.now();
                let until = self.queue().overflow(host, now);
                Err(busy(wait(now, until)))
            }
        }
    }

    fn may_wait_on(&self, host: &str, waits: u32) -> bool {
        let are_we_slow = self.0.idle_count.load(Ordering::Relaxed) > 0;
        are_we_slow || waits + 1 < DELAYS_WITH_QUICK && self.queue().is_quick(host)
    }

    /// Gives out what places there are.
    fn begin(&self) {
        loop {
            let now = self.0.clock.now();
            let begun = self.queue().begin(now, |reply| !reply.is_closed());
            let Some((host, reply)) = begun else { return };
            self.0.idle_count.fetch_add(1, Ordering::Relaxed);
            let place = HostPlace { limiter: self.clone(), host, begun: None, is_ended: false };
            // One that just left drops the place, which ends it; nothing is locked here.
            let _ = reply.send(Answer::Place(place));
        }
    }

    fn end(&self, ended: &Ended) {
        let now = self.0.clock.now();
        let released = self.queue().ended(ended, now, |_| true);
        for (reply, until) in released {
            let _ = reply.send(Answer::ComeAgain(until));
        }
        self.begin();
    }

    fn forget_old_failures(&self) {
        let mut at = self.0.forgotten_at.lock().expect("nothing panics under this lock");
        if at.elapsed() >= FORGET_INTERVAL {
            *at = Instant::now();
            drop(at);
            self.queue().forget_old_failures(self.0.clock.now());
        }
    }

    fn queue(&self) -> MutexGuard<'_, HostQueue<oneshot::Sender<Answer>>> {
        self.0.queue.lock().expect("nothing panics under this lock")
    }
}

impl HostPlace {
    /// The host.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The call begins now: the time until here was not the host's.
    pub(super) fn begin(&mut self) {
        if self.begun.replace(Instant::now()).is_none() {
            self.limiter.0.idle_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends the place with what the call said about its host: that it answered, or how it failed. The
    /// error says when to come again.
    pub(super) fn end<T>(mut self, result: Result<T, FetchError>) -> Result<T, FetchError> {
        let verdict = match &result {
            Err(FetchError { retry: Retry::Later { after }, code, message, .. }) => {
                let fault = HostFault { code: *code, message: message.clone() };
                let retry_after = Some(*after).filter(|after| !after.is_zero());
                Verdict::Failed { retry_after, fault: Some(fault) }
            }
            Err(FetchError { retry: Retry::Open { .. } | Retry::Busy { .. }, .. }) => {
                Verdict::Unknown
            }
            Ok(_) | Err(_) => Verdict::Answered,
        };
        self.close(verdict);
        result.map_err(|error| {
            let Retry::Later { after } = error.retry else { return error };
            let now = self.limiter.0.clock.now();
            let until = self.limiter.queue().after_failure(&self.host, now);
            let after = until.map_or(after, |until| wait(now, until).max(after));
            error.retried(Retry::Later { after })
        })
    }

    fn close(&mut self, verdict: Verdict) {
        if !std::mem::replace(&mut self.is_ended, true) {
            let verdict = if self.begun.is_some() { verdict } else { Verdict::Unknown };
            self.begin();
            let took = self.begun.map(|begun| begun.elapsed()).unwrap_or_default();
            let host = self.host.clone();
            self.limiter.end(&Ended { host, verdict, took });
        }
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        self.close(Verdict::Unknown);
    }
}

fn wait(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

fn left_alone(fault: Option<HostFault>, after: Duration) -> FetchError {
    let unsaid =
        || HostFault { code: flota_core::Code::FetchFailed, message: LEFT_ALONE.to_owned() };
    let HostFault { code, message } = fault.unwrap_or_else(unsaid);
    FetchError::new(code, message).retried(Retry::Open { after })
}

fn busy(after: Duration) -> FetchError {
    FetchError::new(flota_core::Code::FetchFailed, BUSY).retried(Retry::Busy { after })
}
