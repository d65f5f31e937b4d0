//! A backlog of hours with lost messages, on queues that can look up the messages of a pack and on
//! others.

use std::time::Duration;

use flota_core::{TasksMessage, limits::MAX_QUEUE_BATCH, ports::WorkerHeartbeat};
use flota_platform::Platform;
use tokio::time;

use crate::{
    sweeper::Sweeper,
    testing::{CountingQueue, Fixture, succeeded},
};

const MINUTE: Duration = Duration::from_secs(60);
const TASKS_A_PACK: u64 = 20;

/// A fleet with one slow worker, `cat`.
struct Backlog {
    fixture: Fixture,
    sweeper: Sweeper,
    accepted: u64,
    ended: u64,
    /// The copies that the worker received.
    copies: Vec<TasksMessage>,
}

impl Backlog {
    async fn new(is_blind: bool) -> Self {
        let blind = |platform: &mut Platform| {
            if is_blind {
                CountingQueue::over(platform);
            }
        };
        let fixture = Fixture::on(&[], blind).await;
        let sweeper = fixture.roles.lock().unwrap().take().expect("taken once").sweeper;
        Self { fixture, sweeper, accepted: 0, ended: 0, copies: Vec::new() }
    }

    async fn submit(&mut self) {
        self.fixture.submit(1_000, &["cat"], None).await;
        self.accepted += 1_000;
    }

    async fn receive(&self, pack_count: usize) -> Vec<TasksMessage> {
        let (queue, name) = (&self.fixture.platform.queue, self.fixture.tasks_queue("cat"));
        let mut messages = Vec::new();
        let mut drained_to = None;
        while messages.len() < pack_count {
            let max = MAX_QUEUE_BATCH.min(pack_count - messages.len());
            let received = queue.receive(&name, max, Duration::ZERO, MINUTE).await.unwrap();
            if received.is_empty() {
                drained_to = drained_to.or(Some(self.fixture.platform.clock.now()));
                break;
            }
            for delivery in received {
                drained_to = drained_to.min(Some(delivery.sent_at)).or(Some(delivery.sent_at));
                messages.push(TasksMessage::decode(&delivery.body).unwrap());
                queue.ack(&name, &[delivery.receipt]).await.unwrap();
            }
        }
        let line = WorkerHeartbeat {
            instance: "cat-1".to_owned(),
            worker: "cat".parse().unwrap(),
            models: Vec::new(),
            until: self.fixture.platform.clock.now() + 2 * MINUTE,
            drained_to,
            throughput: Default::default(),
        };
        self.fixture.platform.models.alive(&line).await.unwrap();
        messages
    }

    /// Simulates a minute: the worker finishes `pack_count` packs, and the sweeper sweeps.
    async fn minute(&mut self, pack_count: usize) {
        for message in self.receive(pack_count).await {
            self.sweeper.recording.record(&succeeded(&message)).await.unwrap();
            self.ended += message.tasks.len() as u64;
            if message.copy > 0 {
                self.copies.push(message);
            }
        }
        while self.sweeper.sweep().await.unwrap() > 0 {}
        time::advance(MINUTE).await;
    }

    /// The number of tasks on the queue. Every pack is full.
    async fn depth(&self) -> u64 {
        let queue = self.fixture.tasks_queue("cat");
        let depth = self.fixture.platform.queue.depth(&queue).await.unwrap();
        (depth.ready + depth.in_flight + depth.delayed) * TASKS_A_PACK
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_never_multiplied() {
    for is_blind in [false, true] {
        let mut backlog = Backlog::new(is_blind).await;
        for minute in 0..90 {
            if minute < 20 {
                backlog.submit().await;
            }
            backlog.minute(13).await;
            let (depth, open) = (backlog.depth().await, backlog.accepted - backlog.ended);
            assert_eq!(depth, open, "after {minute} minutes, blind: {is_blind}");
        }
        assert_eq!((backlog.accepted, backlog.ended), (20_000, 20_000));
        assert!(backlog.copies.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_of_a_backlog_is_sent_again_once() {
    for (is_blind, minute_count) in [(false, 10), (true, 45)] {
        let mut backlog = Backlog::new(is_blind).await;
        backlog.submit().await;
        let lost = backlog.receive(3).await;
        // The queue is never empty.
        for _ in 0..minute_count {
            backlog.submit().await;
            backlog.minute(49).await;
            assert!(backlog.depth().await > 0);
        }
        let packs = |messages: &[TasksMessage]| {
            let mut keys: Vec<_> =
                messages.iter().map(|message| (message.pack_key(), message.copy)).collect();
            keys.sort();
            keys
        };
        let wanted: Vec<_> = lost.iter().map(|message| (message.pack_key(), 1)).collect();
        assert_eq!(packs(&backlog.copies), wanted, "blind: {is_blind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_from_an_empty_queue_is_sent_again_once_it_was_seen_empty_twice() {
    let backlog = Backlog::new(true).await;
    backlog.fixture.submit(25, &["cat"], None).await;
    let lost = backlog.receive(2).await;
    // No worker is alive to report what it received.
    backlog.fixture.platform.models.gone("cat-1").await.unwrap();
    time::advance(5 * MINUTE).await;
    backlog.sweeper.sweep().await.unwrap();
    assert_eq!(backlog.depth().await, 0, "seen once");
    time::advance(MINUTE).await;
    backlog.sweeper.sweep().await.unwrap();
    let again = backlog.receive(10).await;
    assert_eq!(again.len(), lost.len());
    assert!(again.iter().all(|message| message.copy == 1));
}
