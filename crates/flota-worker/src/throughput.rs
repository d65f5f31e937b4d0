//! What a worker process did in the last minute, for its heartbeat.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use flota_core::{ModelName, TasksMessage, ports::Throughput};
use tokio::time::Instant;

/// The time that is looked back on: long enough that a batch more or less changes little.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts messages and tasks.
pub(crate) struct ThroughputMeter {
    counts: Mutex<Counts>,
}

struct Counts {
    /// Since the process began; neither window nor busy time are filled in.
    total: Throughput,
    /// The time with tasks in flight, up to `busy_since`,
    busy: Duration,
    /// which is when that began that lasts now.
    busy_since: Option<Instant>,
    message_count: usize,
    /// Earlier reads, the oldest first: one from before the window, the others within.
    earlier: VecDeque<Read>,
}

/// The totals at one time.
#[derive(Clone)]
struct Read {
    at: Instant,
    busy: Duration,
    total: Throughput,
}

/// A message is in flight until this is dropped.
pub(crate) struct InFlight(Arc<ThroughputMeter>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let counts = &mut *self.0.counts();
        counts.message_count -= 1;
        if counts.message_count == 0
            && let Some(since) = counts.busy_since.take()
        {
            counts.busy += since.elapsed();
        }
    }
}

impl Default for ThroughputMeter {
    fn default() -> Self {
        let total = Throughput::default();
        let begin = Read { at: Instant::now(), busy: Duration::ZERO, total: total.clone() };
        Self {
            counts: Mutex::new(Counts {
                total,
                busy: Duration::ZERO,
                busy_since: None,
                message_count: 0,
                earlier: VecDeque::from([begin]),
            }),
        }
    }
}

impl ThroughputMeter {
    /// A message was received, and is worked on as long as what this gives is held.
    pub(crate) fn begin(self: &Arc<Self>, message: &TasksMessage) -> InFlight {
        let counts = &mut *self.counts();
        counts.total.messages += 1;
        for (model, count) in message.task_counts() {
            *counts.total.received.entry(model).or_default() += u64::from(count);
        }
        counts.message_count += 1;
        counts.busy_since.get_or_insert_with(Instant::now);
        InFlight(Arc::clone(self))
    }

    /// A task of `model` ended, and that is durable.
    pub(crate) fn ended(&self, model: &ModelName) {
        *self.counts().total.ended.entry(model.clone()).or_default() += 1;
    }

    /// What was counted since the last read that is a minute old, or since the beginning.
    pub(crate) fn read(&self) -> Throughput {
        let now = Instant::now();
        let Counts { total, busy, busy_since, earlier, .. } = &mut *self.counts();
        while earlier.get(1).is_some_and(|read| now.duration_since(read.at) >= WINDOW) {
            earlier.pop_front();
        }
        let before = earlier.front().expect("the last one is never removed");
        let busy = *busy + busy_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        let lately = Throughput {
            window_ms: milliseconds(now.duration_since(before.at)),
            busy_ms: milliseconds(busy - before.busy),
            messages: total.messages - before.total.messages,
            received: grown(&total.received, &before.total.received),
            ended: grown(&total.ended, &before.total.ended),
        };
        earlier.push_back(Read { at: now, busy, total: total.clone() });
        lately
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics under this lock")
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// By how much counts have grown; those that have not are left out.
fn grown(
    now: &BTreeMap<ModelName, u64>,
    before: &BTreeMap<ModelName, u64>,
) -> BTreeMap<ModelName, u64> {
    let grown = now.iter().map(|(model, n)| (model.clone(), n - before.get(model).unwrap_or(&0)));
    grown.filter(|(_, n)| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_last_minute_counts() {
        let meter = Arc::<ThroughputMeter>::default();
        let (cat, dog): (ModelName, ModelName) = ("cat".parse().unwrap(), "dog".parse().unwrap());
        let seconds = Duration::from_secs;
        (0..5).for_each(|_| meter.ended(&cat));
        advance(seconds(20)).await;
        let first = meter.read();
        assert_eq!((first.window_ms, first.ended[&cat]), (20_000, 5));
        meter.ended(&dog);
        for _ in 0..2 {
            advance(seconds(20)).await;
            assert_eq!(meter.read().ended.len(), 2);
        }
        advance(seconds(20)).await;
        let last = meter.read();
        assert_eq!(last.window_ms, 60_000);
        assert_eq!(last.ended.into_iter().collect::<Vec<_>>(), [(dog, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_tasks_is_not_busy() {
        let meter = Arc::<ThroughputMeter>::default();
        let message = crate::pipeline::tests::fleet::pack(1, &["https://a.example/1"; 3]);
        let seconds = Duration::from_secs;
        advance(seconds(20)).await;
        let (first, second) = (meter.begin(&message), meter.begin(&message));
        advance(seconds(2)).await;
        drop(first);
        advance(seconds(3)).await;
        let read = meter.read();
        assert_eq!((read.window_ms, read.busy_ms, read.messages), (25_000, 5_000, 2));
        drop(second);
        advance(seconds(5)).await;
        assert_eq!(meter.read().busy_ms, 5_000);
    }
}
