use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use flota_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

/// Where these clocks begin: 2026-01-01T00:00:00Z.
const START_SECOND: i64 = 1_767_225_600;

/// Tokio's time, which a test may pause, from a fixed start, and seeded randomness.
pub struct SeededClock {
    begun: Instant,
    random: Mutex<StdRng>,
}

/// A clock that stands still until it is moved, and seeded randomness.
pub struct ManualClock {
    now: Mutex<Timestamp>,
    random: Mutex<StdRng>,
}

impl SeededClock {
    /// A clock that begins now; make it inside the runtime whose time it follows.
    pub fn new(seed: u64) -> Self {
        Self { begun: Instant::now(), random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }
}

impl ManualClock {
    /// A clock that stands at its start.
    pub fn new(seed: u64) -> Self {
        Self { now: Mutex::new(start()), random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).expect("tests advance by days at most");
        *lock(&self.now) += by;
    }

    /// Sets the clock, also back.
    pub fn set(&self, now: Timestamp) {
        *lock(&self.now) = now;
    }
}

impl Clock for SeededClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.begun.elapsed())
            .expect("a process lives less than a million years");
        start() + elapsed
    }

    fn random(&self) -> u64 {
        lock(&self.random).next_u64()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *lock(&self.now)
    }

    fn random(&self) -> u64 {
        lock(&self.random).next_u64()
    }
}

fn start() -> Timestamp {
    Timestamp::from_second(START_SECOND).expect("a constant within the range")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under this lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_seeded_clock_follows_paused_time_and_repeats_itself() {
        let (one, other) = (SeededClock::new(7), SeededClock::new(7));
        let before = one.now();
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(one.now().duration_since(before), SignedDuration::from_secs(90));
        assert_eq!(one.uuid(), other.uuid());
        assert_ne!(one.random(), one.random());
    }

    #[test]
    fn the_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::new(1);
        let before = clock.now();
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), before + SignedDuration::from_secs(5));
        clock.set(before);
        assert_eq!(clock.now(), before);
    }
}
