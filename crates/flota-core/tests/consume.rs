//! The consume loop over the in-memory queue, on a paused clock.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flota_core::{
    PortError, PortResult, QueueName, QueueNames,
    consume::{ConsumeSettings, Consumer, Handled, Handler, Lease, Unreadable, WeightedQueue},
    limits::MAX_RECEIVE_COUNT,
    ports::{Clock, DeadLetters, Delivery, Depth, NewMessage, Queue, ReceiptHandle},
};
use flota_memory::SeededClock;
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::mpsc, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

#[path = "consume/decoding.rs"]
mod decoding;
#[path = "consume/health.rs"]
mod health;
#[path = "consume/weights.rs"]
mod weights;

const LEASE: Duration = Duration::from_secs(30);
const MAX_LEASE: Duration = Duration::from_secs(300);

type Work = dyn Fn(Delivery, Lease) -> BoxFuture<'static, PortResult<Handled>> + Send + Sync;

/// A handler that does what the test says, and weighs each body by its number of letters. It reads any
/// but those that begin with `!`.
struct Script {
    work: Box<Work>,
    decode_count: Arc<AtomicUsize>,
}

#[async_trait]
impl Handler for Script {
    type Message = String;

    fn decode(&self, body: &str) -> Result<String, Unreadable> {
        self.decode_count.fetch_add(1, Ordering::Relaxed);
        match body.starts_with('!') {
            true => Err(Unreadable::new("it shouts")),
            false => Ok(body.to_owned()),
        }
    }

    fn weigh(&self, message: &String) -> usize {
        message.len()
    }

    async fn handle(&self, delivery: Delivery, lease: Lease) -> PortResult<Handled> {
        (self.work)(delivery, lease).await
    }
}

/// A queue whose receives or extensions fail while they are told to.
struct Faulty {
    inner: Arc<dyn Queue>,
    receive_fails: AtomicBool,
    extend_fails: AtomicBool,
    extend_hangs: AtomicBool,
    receive_count: AtomicUsize,
}

#[async_trait]
impl Queue for Faulty {
    async fn send(
        &self,
        queue: &QueueName,
        messages: &[NewMessage],
    ) -> PortResult<Vec<PortResult<()>>> {
        self.inner.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> PortResult<Vec<Delivery>> {
        self.receive_count.fetch_add(1, Ordering::Relaxed);
        if self.receive_fails.load(Ordering::Relaxed) {
            return Err(PortError::transient("receiving", "the queue is away"));
        }
        self.inner.receive(queue, max, wait, lease).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
        lease: Duration,
    ) -> PortResult<Vec<PortResult<()>>> {
        if self.extend_hangs.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if self.extend_fails.load(Ordering::Relaxed) && !lease.is_zero() {
            return Err(PortError::transient("extending", "the queue is away"));
        }
        self.inner.extend(queue, receipts, lease).await
    }

    async fn ack(
        &self,
        queue: &QueueName,
        receipts: &[ReceiptHandle],
    ) -> PortResult<Vec<PortResult<()>>> {
        self.inner.ack(queue, receipts).await
    }

    async fn depth(&self, queue: &QueueName) -> PortResult<Depth> {
        self.inner.depth(queue).await
    }
}

struct Bench {
    queue: Arc<Faulty>,
    dead_letters: Arc<dyn DeadLetters>,
    decode_count: Arc<AtomicUsize>,
    name: QueueName,
    /// The queues that are consumed, `name` among them.
    queues: Vec<WeightedQueue>,
    clock: Arc<dyn Clock>,
    capacity: usize,
    min_capacity: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with_capacity(4)
    }

    fn with_capacity(capacity: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SeededClock::new(1));
        let store = flota_memory::open(clock.clone());
        let queue = Faulty {
            inner: store.queue,
            receive_fails: AtomicBool::new(false),
            extend_fails: AtomicBool::new(false),
            extend_hangs: AtomicBool::new(false),
            receive_count: AtomicUsize::new(0),
        };
        let name = QueueNames::new("test").outcomes();
        Self {
            queue: Arc::new(queue),
            dead_letters: store.dead_letters,
            decode_count: Arc::default(),
            queues: vec![name.clone().into()],
            name,
            clock,
            capacity,
            min_capacity: capacity,
        }
    }

    async fn send(&self, bodies: &[&str]) {
        self.send_to(&self.name, bodies).await;
    }

    async fn send_to(&self, queue: &QueueName, bodies: &[&str]) {
        for body in bodies {
            let message = NewMessage::new(*body, "default");
            self.queue.send(queue, &[message]).await.unwrap().remove(0).unwrap();
        }
    }

    /// Runs the loop with `work` until the returned token is cancelled.
    fn run<F>(
        &self,
        work: impl Fn(Delivery, Lease) -> F + Send + Sync + 'static,
    ) -> (CancellationToken, JoinHandle<()>)
    where
        F: Future<Output = PortResult<Handled>> + Send + 'static,
    {
        let consumer = self.consumer(work);
        let stop = CancellationToken::new();
        (stop.clone(), tokio::spawn(consumer.run(stop)))
    }

    fn consumer<F>(&self, work: impl Fn(Delivery, Lease) -> F + Send + Sync + 'static) -> Consumer
    where
        F: Future<Output = PortResult<Handled>> + Send + 'static,
    {
        let settings = ConsumeSettings {
            queues: self.queues.clone(),
            capacity: self.capacity,
            min_capacity: self.min_capacity,
            lease: LEASE,
            max_lease: MAX_LEASE,
            wait: Duration::from_secs(1),
            drain: Duration::from_secs(60),
        };
        let work: Box<Work> = Box::new(move |delivery, lease| work(delivery, lease).boxed());
        let script = Script { work, decode_count: self.decode_count.clone() };
        let (queue, dead_letters) = (self.queue.clone(), self.dead_letters.clone());
        Consumer::new(queue, dead_letters, self.clock.clone(), settings, Arc::new(script))
    }

    async fn depth(&self) -> Depth {
        self.queue.depth(&self.name).await.unwrap()
    }

    async fn until_empty(&self) {
        while self.depth().await != Depth::default() {
            time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_settled_after_its_effect() {
    let bench = Bench::new();
    bench.send(&["a"]).await;
    let (started, mut starts) = mpsc::unbounded_channel();
    let gate = CancellationToken::new();
    let open = gate.clone();
    let (stop, done) = bench.run(move |delivery, _| {
        let (started, open) = (started.clone(), open.clone());
        async move {
            started.send(delivery.body).unwrap();
            open.cancelled().await;
            Ok(Handled::Ack)
        }
    });
    assert_eq!(starts.recv().await.unwrap(), "a");
    assert_eq!(bench.depth().await, Depth { in_flight: 1, ..Depth::default() });
    gate.cancel();
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_while_the_work_runs() {
    let bench = Bench::new();
    bench.send(&["a"]).await;
    let receipts = Arc::new(Mutex::new(Vec::new()));
    let seen = receipts.clone();
    let (stop, done) = bench.run(move |delivery, lease| {
        seen.lock().unwrap().push(delivery.receive_count);
        async move {
            time::sleep(LEASE * 5).await;
            assert!(!lease.is_lost());
            Ok(Handled::Ack)
        }
    });
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
    assert_eq!(*receipts.lock().unwrap(), [1], "it was delivered once");
}

#[tokio::test(start_paused = true)]
async fn half_an_hour_without_a_store_does_not_reach_the_dlq() {
    let bench = Bench::new();
    bench.send(&["a"]).await;
    let receipts = Arc::new(AtomicU32::new(0));
    let seen = receipts.clone();
    let back = time::Instant::now() + Duration::from_secs(30 * 60);
    let (stop, done) = bench.run(move |delivery, _| {
        seen.store(delivery.receive_count, Ordering::Relaxed);
        async move {
            if time::Instant::now() < back {
                return Err(PortError::transient("recording", "the store is away"));
            }
            Ok(Handled::Ack)
        }
    });
    bench.until_empty().await;
    assert!(time::Instant::now() >= back);
    assert!(receipts.load(Ordering::Relaxed) < MAX_RECEIVE_COUNT, "{receipts:?}");
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hung_handler_loses_its_lease_at_the_cap() {
    let bench = Bench::new();
    bench.send(&["a"]).await;
    let lost = Arc::new(AtomicUsize::new(0));
    let seen = lost.clone();
    let (stop, done) = bench.run(move |delivery, lease| {
        let seen = seen.clone();
        async move {
            if delivery.receive_count == 1 {
                lease.lost().await;
                seen.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Handled::Ack)
        }
    });
    let begun = time::Instant::now();
    bench.until_empty().await;
    assert_eq!(lost.load(Ordering::Relaxed), 1);
    assert!(begun.elapsed() >= MAX_LEASE, "it was another's before the cap");
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_extended_is_lost_before_it_ends() {
    let bench = Bench::new();
    bench.send(&["a"]).await;
    bench.queue.extend_fails.store(true, Ordering::Relaxed);
    let (sender, mut time_out_after) = mpsc::unbounded_channel();
    let (stop, done) = bench.run(move |_, lease| {
        let (sender, begun) = (sender.clone(), time::Instant::now());
        async move {
            lease.lost().await;
            sender.send(begun.elapsed()).unwrap();
            Ok(Handled::Ack)
        }
    });
    assert!(time_out_after.recv().await.unwrap() < LEASE);
    assert_eq!(bench.depth().await.in_flight, 1, "what is lost is not acknowledged");
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hanging_queue_takes_no_lease_beyond_its_end_and_does_not_keep_the_loop() {
    let bench = Bench::with_capacity(64);
    bench.send(&["a"; 40]).await;
    bench.queue.extend_hangs.store(true, Ordering::Relaxed);
    let (sender, mut time_out_after) = mpsc::unbounded_channel();
    let (stop, done) = bench.run(move |_, lease| {
        let (sender, begun) = (sender.clone(), time::Instant::now());
        async move {
            lease.lost().await;
            sender.send(begun.elapsed()).unwrap();
            std::future::pending::<PortResult<Handled>>().await
        }
    });
    for _ in 0..40 {
        assert!(time_out_after.recv().await.unwrap() < LEASE);
    }
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_bring_the_message_back() {
    let bench = Bench::new();
    bench.send(&["a", "b"]).await;
    let (stop, done) = bench.run(|delivery, _| async move {
        match (delivery.body.as_str(), delivery.receive_count) {
            ("a", 1 | 2) => Err(PortError::permanent("testing", "told to fail")),
            ("b", 1) => panic!("told to panic"),
            _ => Ok(Handled::Ack),
        }
    });
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_than_there_are_slots() {
    assert_eq!(most_in_flight(&Bench::new(), Duration::from_secs(1)).await, 4);
}

#[tokio::test(start_paused = true)]
async fn who_is_fast_has_more_in_hand_at_once() {
    let bench = || Bench { capacity: 12, ..Bench::new() };
    let most = most_in_flight(&bench(), Duration::from_millis(100)).await;
    assert!((8..=12).contains(&most), "{most}");
    assert_eq!(most_in_flight(&bench(), Duration::from_secs(10)).await, 4);
}

/// The most tasks in flight while messages of two, which take `work`, are done.
async fn most_in_flight(bench: &Bench, work: Duration) -> usize {
    bench.send(&["aa"; 300]).await;
    let in_flight = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (in_flight.clone(), most.clone());
    let (stop, done) = bench.run(move |_, lease| {
        let (now, peak) = (now.clone(), peak.clone());
        async move {
            peak.fetch_max(now.fetch_add(2, Ordering::Relaxed) + 2, Ordering::Relaxed);
            time::sleep(work).await;
            lease.reporting();
            now.fetch_sub(2, Ordering::Relaxed);
            Ok(Handled::Ack)
        }
    });
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
    most.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn who_only_reports_makes_room_for_as_much_again() {
    let bench = Bench::new();
    bench.send(&["aaaa", "bbbb", "cccc"]).await;
    let (started, mut starts) = mpsc::unbounded_channel();
    let (reported, told) = (CancellationToken::new(), CancellationToken::new());
    let (may_report, may_end) = (reported.clone(), told.clone());
    let (stop, consumer) = bench.run(move |delivery, lease| {
        let (started, may_report) = (started.clone(), may_report.clone());
        let may_end = may_end.clone();
        async move {
            started.send(delivery.body).unwrap();
            may_report.cancelled().await;
            lease.reporting();
            may_end.cancelled().await;
            Ok(Handled::Ack)
        }
    });
    starts.recv().await.unwrap();
    time::sleep(Duration::from_secs(10)).await;
    assert!(starts.try_recv().is_err(), "all slots are taken");
    reported.cancel();
    starts.recv().await.unwrap();
    time::sleep(Duration::from_secs(10)).await;
    assert!(starts.try_recv().is_err(), "as many are told of as may be worked on");
    told.cancel();
    starts.recv().await.unwrap();
    bench.until_empty().await;
    stop.cancel();
    consumer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_has_begun_and_gives_the_rest_back() {
    let bench = Bench::new();
    bench.send(&["a", "b"]).await;
    let (started, mut starts) = mpsc::unbounded_channel();
    let (stop, done) = bench.run(move |delivery, lease| {
        started.send(()).unwrap();
        async move {
            if delivery.body == "a" {
                time::sleep(Duration::from_secs(20)).await;
                return Ok(Handled::Ack);
            }
            let stopping = async {
                while !lease.stopping() {
                    time::sleep(Duration::from_secs(1)).await;
                }
            };
            time::timeout(Duration::from_secs(600), stopping)
                .await
                .expect("the drain is announced");
            Ok(Handled::Release)
        }
    });
    starts.recv().await.unwrap();
    starts.recv().await.unwrap();
    stop.cancel();
    done.await.unwrap();
    assert_eq!(bench.depth().await, Depth { ready: 1, ..Depth::default() });
}

#[tokio::test(start_paused = true)]
async fn draining_has_a_bound() {
    let bench = Bench::new();
    bench.send(&["a"]).await;
    let (started, mut starts) = mpsc::unbounded_channel();
    let (stop, done) = bench.run(move |_, _| {
        started.send(()).unwrap();
        std::future::pending::<PortResult<Handled>>()
    });
    starts.recv().await.unwrap();
    stop.cancel();
    done.await.unwrap();
    assert_eq!(bench.depth().await, Depth { ready: 1, ..Depth::default() });
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_away_does_not_end_the_loop_and_is_not_stormed() {
    let bench = Bench::new();
    bench.queue.receive_fails.store(true, Ordering::Relaxed);
    let (stop, done) = bench.run(|_, _| async { Ok(Handled::Ack) });
    time::sleep(Duration::from_secs(30 * 60)).await;
    let polls = bench.queue.receive_count.load(Ordering::Relaxed);
    assert!((2..1_000).contains(&polls), "{polls} polls in half an hour");
    bench.queue.receive_fails.store(false, Ordering::Relaxed);
    bench.send(&["a"]).await;
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
}
