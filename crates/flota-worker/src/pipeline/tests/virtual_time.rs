//! A whole worker on virtual time: a fake model that takes its time, and no threads.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use flota_engine::{InferError, NamedTensors};
use flota_memory::SeededClock;
use futures::{FutureExt, future::BoxFuture};
use tokio::time::{self, Instant};

use super::fleet::{Color, Fleet, endings, means, memory_platform, pack};
use crate::{
    executor::{Executor, Tick},
    pipeline::BatchSession,
    watchdog::EXIT_SOFTWARE,
};

const BATCH_SIZE: u32 = 8;
const SESSION_COUNT: u32 = 2;
/// How long the fake model takes for a batch. All of them together take longer than a lease lasts.
const BATCH_TIME: Duration = Duration::from_millis(400);
const TASK_COUNT: u32 = 5_000;

/// A process of one thread: its tasks take turns, and its exits are noted.
#[derive(Default)]
struct VirtualProcess {
    spawned: Mutex<Vec<String>>,
    exits: Mutex<Vec<i32>>,
}

impl Executor for VirtualProcess {
    fn spawn(&self, name: String, work: BoxFuture<'static, ()>) -> io::Result<()> {
        self.spawned.lock().unwrap().push(name);
        tokio::spawn(work);
        Ok(())
    }

    fn every(&self, _name: &str, interval: Duration, mut tick: Tick) -> io::Result<()> {
        tokio::spawn(async move {
            while tick() {
                time::sleep(interval).await;
            }
        });
        Ok(())
    }

    fn exit(&self, code: i32) {
        self.exits.lock().unwrap().push(code);
    }
}

/// How large the batches were, in their order.
type BatchSizes = Arc<Mutex<Vec<usize>>>;

/// A model that takes so long for a batch.
struct Fake {
    batch_time: Duration,
    batch_sizes: BatchSizes,
}

impl BatchSession for Fake {
    fn run<'s>(
        &'s mut self,
        batch: &'s [NamedTensors],
    ) -> BoxFuture<'s, Result<Vec<NamedTensors>, InferError>> {
        let run = async {
            time::sleep(self.batch_time).await;
            self.batch_sizes.lock().unwrap().push(batch.len());
            Ok(vec![means(vec![1.0, 2.0, 3.0]); batch.len()])
        };
        run.boxed()
    }
}

/// A worker, and sessions that take `batch_time`, all on the clock of the runtime.
fn fleet(batch_time: Duration) -> (Fleet, BatchSizes, impl Fn() -> Vec<Box<dyn BatchSession>>) {
    let mut fleet = Fleet::new("1", BATCH_SIZE);
    fleet.platform = memory_platform(&fleet.settings, Arc::new(SeededClock::new(1)));
    let batch_sizes = BatchSizes::default();
    let sizes = Arc::clone(&batch_sizes);
    let session = move || {
        let batch_sizes = Arc::clone(&sizes);
        Box::new(Fake { batch_time, batch_sizes }) as Box<dyn BatchSession>
    };
    (fleet, batch_sizes, move || (0..SESSION_COUNT).map(|_| session()).collect())
}

fn color(n: u32) -> Color {
    let [_, red, green, blue] = n.to_be_bytes();
    [red, green, blue]
}

#[tokio::test(start_paused = true)]
async fn thousands_of_tasks_take_the_time_of_the_model_and_no_thread() {
    let (fleet, batch_sizes, sessions) = fleet(BATCH_TIME);
    let tasks: Vec<u32> = (0..TASK_COUNT).collect();
    for (request, numbers) in tasks.chunks(20).enumerate() {
        let mut urls = Vec::new();
        for n in numbers {
            urls.push(fleet.upload(color(*n)).await);
        }
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        fleet.send(&pack(request as u128, &urls)).await;
    }
    let process = Arc::new(VirtualProcess::default());
    let began = Instant::now();
    let worker = fleet.start_in(process.clone(), sessions);
    let outcomes = fleet.outcomes(TASK_COUNT as usize).await;
    let took = began.elapsed();
    fleet.stop.cancel();
    worker.await.unwrap();

    let endings = endings(&outcomes);
    assert_eq!(endings.len(), TASK_COUNT as usize);
    assert!(endings.iter().all(|(_, ending)| ending == "succeeded"));
    assert!(fleet.receive_once().await.is_empty(), "all messages are acknowledged");
    let batch_count = batch_sizes.lock().unwrap().len() as u32;
    assert!(batch_count <= TASK_COUNT.div_ceil(BATCH_SIZE) * 21 / 20, "{batch_count} batches");
    // Two sessions side by side, and hardly a pause between their batches.
    let least = BATCH_TIME * TASK_COUNT.div_ceil(BATCH_SIZE) / SESSION_COUNT;
    assert!((least..least * 11 / 10).contains(&took), "{took:?}, and {least:?} is the least");
    assert!(process.exits.lock().unwrap().is_empty());
    let spawned = process.spawned.lock().unwrap().clone();
    assert!(spawned.iter().any(|name| name == "infer-1"), "{spawned:?}");
    assert!(spawned.iter().any(|name| name == "decode-0"), "{spawned:?}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_hangs_ends_the_process_when_its_time_is_up() {
    let (mut fleet, _, sessions) = fleet(Duration::from_secs(100_000));
    fleet.manifest.limits.max_seconds = 30;
    let url = fleet.upload(color(7)).await;
    fleet.send(&pack(1, &[&url])).await;
    let process = Arc::new(VirtualProcess::default());
    let began = Instant::now();
    fleet.start_in(process.clone(), sessions);
    while process.exits.lock().unwrap().is_empty() {
        time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(*process.exits.lock().unwrap(), [EXIT_SOFTWARE]);
    let seconds = began.elapsed().as_secs();
    assert!((30..=31).contains(&seconds), "{seconds}");
}
