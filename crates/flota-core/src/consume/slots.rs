use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

/// Tasks in hand: those that are worked on, and those of which only is to be told.
#[derive(Debug, Default)]
pub(super) struct Slots {
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Used {
    working: usize,
    reporting: usize,
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
    /// How many of `capacity` slots are free. As many again may be told of.
    pub(super) fn free(&self, capacity: usize) -> usize {
        let used = self.used();
        let in_hand = used.working.saturating_add(used.reporting);
        let free = capacity.saturating_sub(used.working);
        free.min(capacity.saturating_mul(2).saturating_sub(in_hand))
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

impl HeldSlots {
    /// Moves them from what is worked on to what is told of.
    pub(super) fn begin_report(&self) {
        let mut stage = self.stage();
        if *stage == Stage::Working {
            *stage = Stage::Reporting;
            let mut used = self.slots.used();
            used.working -= self.weight;
            used.reporting += self.weight;
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
        const CAPACITY: usize = 10;
        let slots = Arc::new(Slots::default());
        let first = slots.hold(10);
        assert_eq!(slots.free(CAPACITY), 0);
        first.begin_report();
        first.begin_report();
        assert_eq!(slots.free(CAPACITY), 10);
        let second = slots.hold(6);
        second.begin_report();
        assert_eq!(slots.free(CAPACITY), 4, "twice the capacity is the bound");
        first.release();
        first.release();
        assert_eq!(slots.free(CAPACITY), 10);
        let third = slots.hold(3);
        third.release();
        third.begin_report();
        second.release();
        assert_eq!(slots.free(CAPACITY), 10);
        let used = slots.used();
        assert_eq!((used.working, used.reporting), (0, 0));
    }
}
