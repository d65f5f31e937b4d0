use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// As much may be in flight as gets done in so long.
const AHEAD: Duration = Duration::from_secs(4);

/// Tasks in flight: those that are worked on, and those of which only is to be told.
#[derive(Debug)]
pub(super) struct Slots {
    min_capacity: usize,
    capacity: usize,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug)]
struct Used {
    working: usize,
    reporting: usize,
    pace: Pace,
}

/// How many tasks got done in the last full time of [`AHEAD`].
#[derive(Debug)]
struct Pace {
    ahead: usize,
    done: usize,
    since: Instant,
}

/// The slots of one delivery, until it is released.
#[derive(Debug)]
pub(super) struct HeldSlots {
    slots: Arc<Slots>,
    weight: usize,
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    Reporting,
    Released,
}

impl Slots {
    /// `min_capacity` slots, and up to `capacity` while so many tasks get done in a few seconds.
    pub(super) fn new(min_capacity: usize, capacity: usize) -> Arc<Self> {
        let pace = Pace { ahead: 0, done: 0, since: Instant::now() };
        Arc::new(Self {
            min_capacity: min_capacity.min(capacity),
            capacity,
            used: Mutex::new(Used { working: 0, reporting: 0, pace }),
            freed: Notify::new(),
        })
    }

    /// How many slots are free, and how many there are. As many again may be told of.
    pub(super) fn free(&self) -> (usize, usize) {
        let mut used = self.used();
        let capacity = used.pace.ahead().clamp(self.min_capacity, self.capacity);
        let in_flight = used.working.saturating_add(used.reporting);
        let free = capacity.saturating_sub(used.working);
        (free.min(capacity.saturating_mul(2).saturating_sub(in_flight)), capacity)
    }

    /// Ends when slots have been freed after it was called.
    pub(super) fn freed(&self) -> impl Future<Output = ()> + '_ {
        self.freed.notified()
    }

    /// Takes `weight` slots.
    pub(super) fn hold(self: &Arc<Self>, weight: usize) -> Arc<HeldSlots> {
        self.used().working += weight;
        let stage = Mutex::new(Stage::Working);
        Arc::new(HeldSlots { slots: Arc::clone(self), weight, stage })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().expect("nothing panics under this lock")
    }
}

impl Pace {
    fn ahead(&mut self) -> usize {
        let passed = self.since.elapsed();
        if passed >= AHEAD {
            let ahead = self.done as f64 * AHEAD.as_secs_f64() / passed.as_secs_f64();
            *self = Self { ahead: ahead as usize, done: 0, since: Instant::now() };
        }
        self.ahead
    }
}

impl HeldSlots {
    /// Moves them from what is worked on to what is told of.
    pub(super) fn begin_report(&self) {
        let mut stage = self.stage();
        if *stage == Stage::Working {
            *stage = Stage::Reporting;
            let mut used = self.slots.used();
            used.working -= self.weight;
            used.reporting += self.weight;
            used.pace.done += self.weight;
            self.slots.freed.notify_one();
        }
    }

    /// Gives them back.
    pub(super) fn release(&self) {
        let mut stage = self.stage();
        let mut used = self.slots.used();
        match std::mem::replace(&mut *stage, Stage::Released) {
            Stage::Working => used.working -= self.weight,
            Stage::Reporting => used.reporting -= self.weight,
            Stage::Released => {}
        }
        self.slots.freed.notify_one();
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_leaves_room_for_as_much_again() {
        let slots = Slots::new(10, 10);
        let first = slots.hold(10);
        assert_eq!(slots.free().0, 0);
        first.begin_report();
        first.begin_report();
        assert_eq!(slots.free().0, 10);
        let second = slots.hold(6);
        second.begin_report();
        assert_eq!(slots.free().0, 4, "twice the capacity is the bound");
        first.release();
        first.release();
        assert_eq!(slots.free().0, 10);
        let third = slots.hold(3);
        third.release();
        third.begin_report();
        second.release();
        assert_eq!(slots.free().0, 10);
        let used = slots.used();
        assert_eq!((used.working, used.reporting), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_much_done_may_have_more_in_hand_until_it_does_not() {
        let slots = Slots::new(10, 100);
        let mut capacities = Vec::new();
        for done in [2, 40, 1_000, 40, 0] {
            slots.hold(done).begin_report();
            slots.hold(50).release();
            tokio::time::advance(AHEAD).await;
            capacities.push(slots.free().1);
        }
        assert_eq!(capacities, [10, 40, 100, 40, 10], "what failed is not done");
    }
}
