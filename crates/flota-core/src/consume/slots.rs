use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{self, Instant},
};

/// As many tasks may be in flight as are finished in this time.
const AHEAD: Duration = Duration::from_secs(4);
/// One in this many slots must be free before a poll. Polls are billed, and polling for each single
/// slot would return few messages per poll.
const WORTH_A_POLL: usize = 3;
/// A queue whose poll has waited this long is taken for empty; other queues may use its slots.
const PROMPT: Duration = Duration::from_secs(1);

/// Counts the tasks in flight: those that are worked on and those whose outcomes are being
/// reported. Queues share the slots; if messages wait on several, each has a share by its weight.
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
    queues: Vec<QueueUse>,
}

/// What one queue uses.
#[derive(Debug)]
struct QueueUse {
    weight: usize,
    working: usize,
    /// Whether its last poll returned messages.
    has_brought: bool,
    polling_since: Option<Instant>,
}

/// The number of tasks that were finished in the last full window of [`AHEAD`].
#[derive(Debug)]
struct Pace {
    ahead: usize,
    done: usize,
    since: Instant,
}

/// The slots from the view of one queue.
#[derive(Debug)]
pub(super) struct QueueSlots {
    slots: Arc<Slots>,
    queue: usize,
}

/// The slots of one delivery, held until it is acknowledged or released.
#[derive(Debug)]
pub(super) struct HeldSlots {
    slots: Arc<Slots>,
    queue: usize,
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
    /// Slots for queues with these weights: `min_capacity`, and up to `capacity` if as many tasks
    /// are finished in [`AHEAD`].
    pub(super) fn new(min_capacity: usize, capacity: usize, weights: &[u32]) -> Arc<Self> {
        let pace = Pace { ahead: 0, done: 0, since: Instant::now() };
        let queues = weights.iter().map(|weight| QueueUse {
            weight: (*weight).max(1) as usize,
            working: 0,
            has_brought: false,
            polling_since: None,
        });
        let used = Used { working: 0, reporting: 0, pace, queues: queues.collect() };
        Arc::new(Self {
            min_capacity: min_capacity.min(capacity),
            capacity,
            used: Mutex::new(used),
            freed: Notify::new(),
        })
    }

    /// The view of the queue with index `queue`.
    pub(super) fn of_queue(self: &Arc<Self>, queue: usize) -> QueueSlots {
        QueueSlots { slots: Arc::clone(self), queue }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().expect("nothing panics under this lock")
    }
}

impl QueueSlots {
    /// The index of the queue.
    pub(super) fn queue(&self) -> usize {
        self.queue
    }

    /// How many slots a poll may fill; `None` if a poll is not worthwhile yet.
    pub(super) fn for_poll(&self) -> Option<usize> {
        let (free, share) = self.free();
        if free >= share.div_ceil(WORTH_A_POLL) {
            return Some(free);
        }
        // If other queues hold all slots, a queue without one still gets one message at once, so
        // that urgent messages do not wait for others. From then on it has its share.
        self.may_go_first().then_some(1)
    }

    /// The free slots of the queue's share, and the size of the share. As many tasks again may be
    /// reporting.
    fn free(&self) -> (usize, usize) {
        let mut used = self.slots.used();
        let capacity = used.pace.ahead().clamp(self.slots.min_capacity, self.slots.capacity);
        let own = &used.queues[self.queue];
        let others = used.queues.iter().enumerate().filter(|(queue, _)| *queue != self.queue);
        let others = others.filter(|(_, other)| other.has_waiting()).map(|(_, other)| other.weight);
        let weights = own.weight.saturating_add(others.sum());
        let share = capacity.saturating_mul(own.weight).div_ceil(weights);
        let free = share.saturating_sub(own.working).min(capacity.saturating_sub(used.working));
        (free.min(used.report_room(capacity)), share)
    }

    fn may_go_first(&self) -> bool {
        let mut used = self.slots.used();
        let capacity = used.pace.ahead().clamp(self.slots.min_capacity, self.slots.capacity);
        used.queues[self.queue].working == 0 && used.working > 0 && used.report_room(capacity) > 0
    }

    /// Waits until slots may have become free since the call.
    pub(super) fn freed(&self) -> impl Future<Output = ()> + '_ {
        let freed = self.slots.freed.notified();
        // The share also grows when another queue turns out to be empty.
        let is_shared = self.slots.used().queues.len() > 1;
        async move {
            match is_shared {
                true => drop(time::timeout(PROMPT, freed).await),
                false => freed.await,
            }
        }
    }

    /// Records that a poll begins.
    pub(super) fn begin_poll(&self) {
        self.slots.used().queues[self.queue].polling_since = Some(Instant::now());
    }

    /// Records that the poll ended, and whether it returned messages.
    pub(super) fn end_poll(&self, has_brought: bool) {
        let own = &mut self.slots.used().queues[self.queue];
        (own.polling_since, own.has_brought) = (None, has_brought);
    }

    /// Takes `weight` slots.
    pub(super) fn hold(&self, weight: usize) -> Arc<HeldSlots> {
        let mut used = self.slots.used();
        used.working += weight;
        used.queues[self.queue].working += weight;
        let (slots, stage) = (Arc::clone(&self.slots), Mutex::new(Stage::Working));
        Arc::new(HeldSlots { slots, queue: self.queue, weight, stage })
    }
}

impl Used {
    fn report_room(&self, capacity: usize) -> usize {
        let in_flight = self.working.saturating_add(self.reporting);
        capacity.saturating_mul(2).saturating_sub(in_flight)
    }

    fn end_work(&mut self, queue: usize, weight: usize) {
        self.working -= weight;
        self.queues[queue].working -= weight;
    }
}

impl QueueUse {
    /// Whether messages seem to wait on the queue.
    fn has_waiting(&self) -> bool {
        self.has_brought && self.polling_since.is_none_or(|since| since.elapsed() < PROMPT)
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
    /// Turns slots for work into slots for reporting.
    pub(super) fn begin_report(&self) {
        let mut stage = self.stage();
        if *stage == Stage::Working {
            *stage = Stage::Reporting;
            let mut used = self.slots.used();
            used.end_work(self.queue, self.weight);
            used.reporting += self.weight;
            used.pace.done += self.weight;
            self.slots.freed.notify_waiters();
        }
    }

    /// Frees the slots.
    pub(super) fn release(&self) {
        let mut stage = self.stage();
        let mut used = self.slots.used();
        match std::mem::replace(&mut *stage, Stage::Released) {
            Stage::Working => used.end_work(self.queue, self.weight),
            Stage::Reporting => used.reporting -= self.weight,
            Stage::Released => {}
        }
        self.slots.freed.notify_waiters();
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(min_capacity: usize, capacity: usize) -> QueueSlots {
        Slots::new(min_capacity, capacity, &[1]).of_queue(0)
    }

    #[test]
    fn what_is_told_of_leaves_room_for_as_much_again() {
        let slots = alone(10, 10);
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
        let used = slots.slots.used();
        assert_eq!((used.working, used.reporting, used.queues[0].working), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_much_done_may_have_more_in_hand_until_it_does_not() {
        let slots = alone(10, 100);
        let mut capacities = Vec::new();
        for done in [2, 40, 1_000, 40, 0] {
            slots.hold(done).begin_report();
            slots.hold(50).release();
            tokio::time::advance(AHEAD).await;
            capacities.push(slots.free().1);
        }
        assert_eq!(capacities, [10, 40, 100, 40, 10], "what failed is not done");
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_has_all_slots_until_messages_wait_on_another() {
        let slots = Slots::new(12, 12, &[3, 1]);
        let (urgent, bulk) = (slots.of_queue(0), slots.of_queue(1));
        urgent.begin_poll();
        let held: Vec<_> = (0..12).map(|_| bulk.hold(1)).collect();
        assert_eq!((bulk.free(), bulk.for_poll()), ((0, 12), None));
        assert_eq!(urgent.for_poll(), Some(1), "it has none, and need not wait");
        urgent.end_poll(true);
        let first = urgent.hold(1);
        assert_eq!((urgent.free(), urgent.for_poll()), ((0, 12), None));
        bulk.end_poll(true);
        assert_eq!((bulk.free().1, urgent.free().1), (3, 9));
        held[..9].iter().for_each(|one| one.release());
        assert_eq!((bulk.free().0, urgent.free().0), (0, 8));

        first.release();
        urgent.begin_poll();
        assert_eq!(bulk.free().1, 3, "it may have an answer at once");
        tokio::time::advance(PROMPT).await;
        assert_eq!(bulk.free(), (9, 12), "it waits for messages: there are none");
    }
}
