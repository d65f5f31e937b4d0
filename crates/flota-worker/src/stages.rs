//! How busy each stage is: the one that is busy all the time holds up the others.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use metrics::gauge;
use tokio::time::Instant;

/// How often it is reported how busy the stages were.
const INTERVAL: Duration = Duration::from_secs(5);

/// A stage that does so much at once and no more.
pub(crate) struct Stage {
    name: &'static str,
    slot_count: usize,
    work: Mutex<Work>,
}

/// The work that a stage did, as an integral over time.
struct Work {
    running: i64,
    changed_at: Instant,
    /// Seconds, of all slots together, since they were last taken.
    busy_seconds: f64,
    taken_at: Instant,
}

/// Slots of a stage that are taken until this is dropped.
pub(crate) struct Busy {
    stage: Arc<Stage>,
    slot_count: u32,
}

impl Stage {
    /// A stage with `slot_count` slots, whose utilization is reported as `name`.
    pub(crate) fn start(name: &'static str, slot_count: usize) -> Arc<Self> {
        let stage = Arc::new(Self::new(name, slot_count));
        tokio::spawn(report(Arc::downgrade(&stage)));
        stage
    }

    fn new(name: &'static str, slot_count: usize) -> Self {
        let now = Instant::now();
        let work = Work { running: 0, changed_at: now, busy_seconds: 0.0, taken_at: now };
        Self { name, slot_count: slot_count.max(1), work: Mutex::new(work) }
    }

    /// Takes a slot.
    pub(crate) fn enter(self: &Arc<Self>) -> Busy {
        self.enter_many(1)
    }

    /// Takes so many slots.
    pub(crate) fn enter_many(self: &Arc<Self>, slot_count: u32) -> Busy {
        self.change(i64::from(slot_count));
        Busy { stage: Arc::clone(self), slot_count }
    }

    fn change(&self, by: i64) {
        self.work.lock().expect("nothing panics under this lock").change(by);
    }

    /// The part of the slots that was taken, on average, since this was last asked.
    fn take_utilization(&self) -> f64 {
        let mut work = self.work.lock().expect("nothing panics under this lock");
        work.change(0);
        let now = work.changed_at;
        let seconds = now.duration_since(work.taken_at).as_secs_f64() * self.slot_count as f64;
        let utilization = if seconds > 0.0 { work.busy_seconds / seconds } else { 0.0 };
        (work.busy_seconds, work.taken_at) = (0.0, now);
        utilization
    }
}

impl Work {
    fn change(&mut self, by: i64) {
        let now = Instant::now();
        let passed = now.duration_since(self.changed_at).as_secs_f64();
        self.busy_seconds += passed * self.running as f64;
        self.running += by;
        self.changed_at = now;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stage.change(-i64::from(self.slot_count));
    }
}

async fn report(stage: Weak<Stage>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.tick().await;
    while let Some(stage) = stage.upgrade() {
        gauge!("flota_worker_stage_utilization", "stage" => stage.name)
            .set(stage.take_utilization());
        drop(stage);
        ticks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn utilization_is_the_part_of_the_slots_that_was_taken_meanwhile() {
        const SECOND: Duration = Duration::from_secs(1);
        let stage = Arc::new(Stage::new("test", 2));
        let long = stage.enter();
        advance(SECOND).await;
        let short = stage.enter();
        advance(SECOND).await;
        drop(short);
        advance(2 * SECOND).await;
        assert_eq!(stage.take_utilization(), 5.0 / 8.0);
        advance(SECOND).await;
        assert_eq!(stage.take_utilization(), 0.5, "what runs on counts on");
        drop(long);
        advance(SECOND).await;
        assert_eq!(stage.take_utilization(), 0.0);
    }
}
