//! Messages per second through the embedded queue, each sent, received and acknowledged durably, in
//! batches of ten; beside it, in turns, what SQLite alone commits.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use flota_core::{
    PortResult, QueueName, QueueNames,
    limits::MAX_QUEUE_BATCH,
    ports::{NewMessage, Queue},
};
use flota_platform::{SystemClock, embedded};
use rusqlite::Connection;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{Options, measure::Figure};

/// Senders, and as many receivers.
const PAIR_COUNT: usize = 8;
const COMMIT_COUNT: usize = 1_000;
const LEASE: Duration = Duration::from_secs(60);
const BODY_BYTES: usize = 500;

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let (mut queue_rates, mut commit_rates) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let folder = tempfile::tempdir()?;
        commit_rates.push(commits_per_second(&folder.path().join("alone.sqlite"))?);
        let store = embedded::open(folder.path(), Arc::new(SystemClock))?;
        queue_rates.push(runtime.block_on(messages_per_second(store.queue, options.messages))?);
    }
    Ok(vec![
        Figure::new("SQLite alone: full-sync commits", "commits/s", "", &commit_rates),
        Figure::new(
            "embedded queue: sent, received, acknowledged",
            "messages/s",
            ">= 10000",
            &queue_rates,
        ),
    ])
}

fn commits_per_second(path: &Path) -> Result<f64> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)", [])?;
    let began = Instant::now();
    for _ in 0..COMMIT_COUNT {
        connection.execute("INSERT INTO rows (body) VALUES (?1)", ["x".repeat(BODY_BYTES)])?;
    }
    Ok(COMMIT_COUNT as f64 / began.elapsed().as_secs_f64())
}

async fn messages_per_second(queue: Arc<dyn Queue>, count: usize) -> Result<f64> {
    let name = QueueNames::new("bench").outcomes();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..PAIR_COUNT {
        tasks.spawn(send(queue.clone(), name.clone(), count / PAIR_COUNT));
        tasks.spawn(ack(
            queue.clone(),
            name.clone(),
            acknowledged.clone(),
            count / PAIR_COUNT * PAIR_COUNT,
        ));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(acknowledged.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

async fn send(queue: Arc<dyn Queue>, name: QueueName, count: usize) -> PortResult<()> {
    let message = NewMessage::new("x".repeat(BODY_BYTES), "default");
    for _ in 0..count / MAX_QUEUE_BATCH {
        let batch = vec![message.clone(); MAX_QUEUE_BATCH];
        queue.send(&name, &batch).await?.into_iter().collect::<PortResult<()>>()?;
    }
    Ok(())
}

async fn ack(
    queue: Arc<dyn Queue>,
    name: QueueName,
    acknowledged: Arc<AtomicUsize>,
    count: usize,
) -> PortResult<()> {
    let count = count / MAX_QUEUE_BATCH * MAX_QUEUE_BATCH;
    while acknowledged.load(Ordering::Relaxed) < count {
        let wait = Duration::from_millis(100);
        let deliveries = queue.receive(&name, MAX_QUEUE_BATCH, wait, LEASE).await?;
        let receipts: Vec<_> = deliveries.into_iter().map(|delivery| delivery.receipt).collect();
        if receipts.is_empty() {
            continue;
        }
        queue.ack(&name, &receipts).await?.into_iter().collect::<PortResult<()>>()?;
        acknowledged.fetch_add(receipts.len(), Ordering::Relaxed);
    }
    Ok(())
}
