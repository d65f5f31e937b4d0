//! Messages per second sent, received and acknowledged with durable commits in batches of ten, by one
//! process and by two. `cargo bench -p flota-platform --bench queue [-- FOLDER]`; the folder
//! decides which disk is measured.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use flota_core::{
    Priority, QueueName, QueueNames,
    limits::MAX_QUEUE_BATCH,
    ports::{Delivery, NewMessage, ReceiptHandle, Store},
};
use flota_platform::{SystemClock, embedded};

const MESSAGES: usize = 50_000;
const SENDERS: usize = 8;
const RECEIVERS: usize = 8;
/// About what a pack of twenty tasks takes.
const BODY_BYTES: usize = 2_000;
const LEASE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let parent = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    for store_count in [1, 2] {
        let data = tempfile::TempDir::new_in(&parent).expect("the folder is writable");
        let stores: Vec<Store> = (0..store_count).map(|_| open(data.path())).collect();
        let begun = Instant::now();
        let slowest = run(&stores).await;
        let seconds = begun.elapsed().as_secs_f64();
        let rate = MESSAGES as f64 / seconds;
        println!(
            "{store_count} store(s) on one folder: {rate:.0} messages/s in {seconds:.1} s, \
             slowest ack {} ms",
            slowest.as_millis()
        );
    }
}

fn open(folder: &Path) -> Store {
    embedded::open(folder, Arc::new(SystemClock)).expect("the store opens")
}

/// Answers how long the slowest ack took: a heartbeat waits as long.
async fn run(stores: &[Store]) -> Duration {
    let worker = "bench".parse().expect("a name");
    let queue = QueueNames::new("flota").tasks(&worker, Priority::Normal);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for i in 0..SENDERS {
        let (store, queue) = (stores[i % stores.len()].clone(), queue.clone());
        senders.push(tokio::spawn(async move { send(&store, &queue).await }));
    }
    for i in 0..RECEIVERS {
        // Where there are two, each sends to the other.
        let (store, queue) = (stores[(i + 1) % stores.len()].clone(), queue.clone());
        let acknowledged = acknowledged.clone();
        receivers.push(tokio::spawn(async move { consume(&store, &queue, &acknowledged).await }));
    }
    let mut slowest = Duration::ZERO;
    for sender in senders {
        sender.await.expect("no part of the benchmark panics");
    }
    for receiver in receivers {
        slowest = slowest.max(receiver.await.expect("no part of the benchmark panics"));
    }
    slowest
}

async fn send(store: &Store, queue: &QueueName) {
    let body = "x".repeat(BODY_BYTES);
    let message = NewMessage::new(body, "default");
    let batch = vec![message; MAX_QUEUE_BATCH];
    for _ in 0..MESSAGES / SENDERS / MAX_QUEUE_BATCH {
        for sent in store.queue.send(queue, &batch).await.expect("sending works") {
            sent.expect("the message is small");
        }
    }
}

async fn consume(store: &Store, queue: &QueueName, acknowledged: &AtomicUsize) -> Duration {
    let mut slowest = Duration::ZERO;
    let wait = Duration::from_millis(100);
    while acknowledged.load(Ordering::Relaxed) < MESSAGES {
        let received = store.queue.receive(queue, MAX_QUEUE_BATCH, wait, LEASE).await;
        let receipts: Vec<ReceiptHandle> = received
            .expect("receiving works")
            .into_iter()
            .map(|Delivery { receipt, .. }| receipt)
            .collect();
        let begun = Instant::now();
        store.queue.ack(queue, &receipts).await.expect("acknowledging works");
        slowest = slowest.max(begun.elapsed());
        acknowledged.fetch_add(receipts.len(), Ordering::Relaxed);
    }
    slowest
}
