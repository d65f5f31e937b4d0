//! What a worker process did in the last minute, for its heartbeat.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
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
    /// Since the process began; the window is not filled in.
    total: Throughput,
    /// The totals of earlier reads, the oldest first: one from before the window, the others within.
    earlier: VecDeque<(Instant, Throughput)>,
}

impl Default for ThroughputMeter {
    fn default() -> Self {
        let earlier = VecDeque::from([(Instant::now(), Throughput::default())]);
        Self { counts: Mutex::new(Counts { total: Throughput::default(), earlier }) }
    }
}

impl ThroughputMeter {
    /// A message was received.
    pub(crate) fn received(&self, message: &TasksMessage) {
        let total = &mut self.counts().total;
        total.messages += 1;
        for (model, count) in message.task_counts() {
            *total.received.entry(model).or_default() += u64::from(count);
        }
    }

    /// A task of `model` ended, and that is durable.
    pub(crate) fn ended(&self, model: &ModelName) {
        *self.counts().total.ended.entry(model.clone()).or_default() += 1;
    }

    /// What was counted since the last read that is a minute old, or since the beginning.
    pub(crate) fn read(&self) -> Throughput {
        let now = Instant::now();
        let Counts { total, earlier } = &mut *self.counts();
        while earlier.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            earlier.pop_front();
        }
        let (since, before) = earlier.front().expect("the last one is never removed");
        let lately = Throughput {
            window_ms: u64::try_from(now.duration_since(*since).as_millis()).unwrap_or(u64::MAX),
            messages: total.messages - before.messages,
            received: grown(&total.received, &before.received),
            ended: grown(&total.ended, &before.ended),
        };
        earlier.push_back((now, total.clone()));
        lately
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics under this lock")
    }
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
        let meter = ThroughputMeter::default();
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
}
