//! Decides whether open tasks may still be on a queue, so that the sweeper sends only lost ones
//! again.
//!
//! An embedded queue can look up the messages of a pack. SQS cannot, and does not give the age of
//! its oldest message either. There, a pack is taken for lost once each queue that may hold it was
//! seen empty twice, or once the workers receive only messages that were sent well after it. This
//! may be wrong; a needless copy has a copy number, and costs its worker one read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_core::{
    KnownModels, ModelDirectory, Pack, PackKey, PortError, PortResult, QueueName, QueueNames,
    Request, Resend, Round, WorkerName,
    ports::{Depth, Models, Queue, WorkerHeartbeat},
};
use jiff::{SignedDuration, Timestamp};

/// A queue that is seen empty twice, this far apart, is empty. The counts of SQS lag by up to a
/// minute.
const EMPTY_FOR: SignedDuration = SignedDuration::from_secs(60);
/// Messages are not received in order: one may come this much later than messages that were sent
/// after it.
const DISORDER: SignedDuration = SignedDuration::from_mins(10);
/// The same if some messages are delayed: a task that is retried waits as a delayed message.
const DISORDER_OF_DELAYED: SignedDuration = SignedDuration::from_hours(1);
/// So few waiting outcomes are no backlog; a recorder needs a moment for them.
const FEW_OUTCOMES: u64 = 100;

/// Finds lost packs.
pub(crate) struct Evidence {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) models: Arc<dyn Models>,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) queue_names: QueueNames,
    /// A due round that is younger than this was never sent: sending it would have moved its due
    /// time.
    pub(crate) sent_within: Duration,
    /// Since when each queue was seen empty every time.
    pub(crate) empty_since: Mutex<BTreeMap<QueueName, Timestamp>>,
}

/// The open tasks of a pack, and the last copy that was sent of them.
pub(crate) type OpenPack = (Pack, Option<Resend>);

/// What is known about the open packs of a round.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Packs that no queue and no worker has.
    pub(crate) lost: Vec<OpenPack>,
    /// When another check may find more, if that is sooner than usual.
    pub(crate) look_again: Option<Duration>,
}

/// The queues and workers as one sweep sees them. Each is read once per sweep.
pub(crate) struct Look<'e> {
    evidence: &'e Evidence,
    now: Timestamp,
    workers: Option<Workers>,
    depths: BTreeMap<QueueName, Depth>,
}

struct Workers {
    alive: Vec<WorkerHeartbeat>,
    known: KnownModels,
}

/// Whether a queue may hold a message that was sent to it.
enum Answer {
    /// It does not hold the message.
    Gone,
    /// It may hold the message.
    Unknown,
    /// It does not hold the message if it is still empty a little later.
    EmptyNow,
}

impl Evidence {
    /// A view at `now`.
    pub(crate) fn look(&self, now: Timestamp) -> Look<'_> {
        Look { evidence: self, now, workers: None, depths: BTreeMap::new() }
    }
}

impl Look<'_> {
    /// Finds the lost ones of the `open` packs of `round`.
    pub(crate) async fn lost(
        &mut self,
        request: &Request,
        round: &Round,
        open: Vec<OpenPack>,
    ) -> PortResult<Findings> {
        let key = |(pack, _): &OpenPack| PackKey { round: round.key, pack: pack.index };
        let keys: Vec<PackKey> = open.iter().map(key).collect();
        if let Some(held) = self.evidence.queue.holds(&keys).await? {
            let lost = open.into_iter().zip(held).filter(|(_, held)| !held);
            return Ok(Findings { lost: lost.map(|(pack, _)| pack).collect(), look_again: None });
        }
        let age = Duration::try_from(self.now.duration_since(round.opened_at)).unwrap_or_default();
        let mut findings = Findings::default();
        for (pack, resent) in open {
            let answer = match resent {
                None if age < self.evidence.sent_within => Answer::Gone,
                _ => {
                    let sent_at = resent.map_or(round.opened_at, |resend| resend.sent_at);
                    self.look_for(request, &pack, sent_at).await?
                }
            };
            match answer {
                Answer::Gone => findings.lost.push((pack, resent)),
                Answer::EmptyNow => findings.look_again = Some(EMPTY_FOR.unsigned_abs()),
                Answer::Unknown => {}
            }
        }
        Ok(findings)
    }

    /// Checks all queues that may hold a pack, which was sent at `sent_at`, or its outcomes.
    async fn look_for(
        &mut self,
        request: &Request,
        pack: &Pack,
        sent_at: Timestamp,
    ) -> PortResult<Answer> {
        let mut workers = BTreeSet::from([pack.worker.clone()]);
        let known = &self.workers().await?.known;
        for task in pack.tasks.iter().filter_map(|n| request.task(*n)) {
            workers.extend(known.worker(&task.route.model).cloned());
        }
        let outcomes = self.evidence.queue_names.outcomes();
        let mut all = match self.depth(&outcomes).await?.ready {
            waiting if waiting > FEW_OUTCOMES => Answer::Unknown,
            _ => Answer::Gone,
        };
        for worker in workers {
            let queue = self.evidence.queue_names.tasks(&worker, request.priority);
            let depth = self.depth(&queue).await?;
            let disorder = if depth.delayed > 0 { DISORDER_OF_DELAYED } else { DISORDER };
            let is_past = self.drained_to(&worker).await?.is_some_and(|to| to > sent_at + disorder);
            let one = if is_past { Answer::Gone } else { self.emptiness(&queue, depth, sent_at) };
            all = match (all, one) {
                (Answer::Unknown, _) | (_, Answer::Unknown) => Answer::Unknown,
                (Answer::EmptyNow, _) | (_, Answer::EmptyNow) => Answer::EmptyNow,
                (Answer::Gone, Answer::Gone) => Answer::Gone,
            };
        }
        Ok(all)
    }

    fn emptiness(&self, queue: &QueueName, depth: Depth, sent_at: Timestamp) -> Answer {
        let since = &mut self.evidence.empty_since.lock().expect("nothing panics under this lock");
        if depth != Depth::default() {
            since.remove(queue);
            return Answer::Unknown;
        }
        let first = *since.entry(queue.clone()).or_insert(self.now);
        match self.now.duration_since(first.max(sent_at)) >= EMPTY_FOR {
            true => Answer::Gone,
            false => Answer::EmptyNow,
        }
    }

    /// The time before which all messages to `worker` have been received, by the process that is
    /// furthest behind.
    async fn drained_to(&mut self, worker: &WorkerName) -> PortResult<Option<Timestamp>> {
        let alive = &self.workers().await?.alive;
        let marks = alive.iter().filter(|line| line.worker == *worker).map(|line| line.drained_to);
        // `None` is less than every time: a process that has not reported yet counts as furthest
        // behind.
        Ok(marks.min().flatten())
    }

    async fn workers(&mut self) -> PortResult<&Workers> {
        let workers = match self.workers.take() {
            Some(workers) => workers,
            None => Workers {
                alive: self.evidence.models.workers(self.now).await?,
                known: self.evidence.directory.known().await?,
            },
        };
        Ok(self.workers.insert(workers))
    }

    async fn depth(&mut self, queue: &QueueName) -> PortResult<Depth> {
        if let Some(depth) = self.depths.get(queue) {
            return Ok(*depth);
        }
        let depth = match self.evidence.queue.depth(queue).await {
            // A queue that was deleted holds nothing.
            Err(PortError::Permanent { .. }) => Depth::default(),
            depth => depth?,
        };
        self.depths.insert(queue.clone(), depth);
        Ok(depth)
    }
}

#[cfg(test)]
mod tests;
