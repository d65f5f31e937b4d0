//! Several queues over the same slots.

use super::*;

const WORK: Duration = Duration::from_secs(10);

/// A loop over two queues, of which the first has three times the weight of the second.
fn bench(capacity: usize) -> (Bench, QueueName) {
    let mut bench = Bench::with_capacity(capacity);
    let bulk = QueueNames::new("test").events();
    bench.queues[0].weight = 3;
    bench.queues.push(bulk.clone().into());
    (bench, bulk)
}

/// Runs the loop, whose work notes each body when it begins; ends it with the two others.
fn run(bench: &Bench) -> (Arc<Mutex<Vec<String>>>, CancellationToken, JoinHandle<()>) {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = begun.clone();
    let (stop, done) = bench.run(move |delivery, _| {
        seen.lock().unwrap().push(delivery.body);
        async {
            time::sleep(WORK).await;
            Ok(Handled::Ack)
        }
    });
    (begun, stop, done)
}

fn count(begun: &Mutex<Vec<String>>, body: &str) -> usize {
    begun.lock().unwrap().iter().filter(|one| *one == body).count()
}

#[tokio::test(start_paused = true)]
async fn queues_on_which_messages_wait_share_the_slots_by_weight() {
    let (bench, bulk) = bench(12);
    bench.send_to(&bulk, &["b"; 300]).await;
    bench.send(&["a"; 300]).await;
    let (begun, stop, done) = run(&bench);
    time::sleep(WORK * 30).await;
    stop.cancel();
    done.await.unwrap();
    let (urgent, bulk) = (count(&begun, "a"), count(&begun, "b"));
    assert!((2 * bulk..=4 * bulk).contains(&urgent), "{urgent} and {bulk}");
    assert!(urgent + bulk >= 30 * 8, "few slots stay empty: {urgent} and {bulk}");
}

#[tokio::test(start_paused = true)]
async fn one_queue_has_all_slots_while_the_other_is_empty_which_then_need_not_wait() {
    let (bench, bulk) = bench(4);
    bench.send_to(&bulk, &["bbbb"; 40]).await;
    let (begun, stop, done) = run(&bench);
    time::sleep(WORK * 5 / 2).await;
    assert_eq!(count(&begun, "bbbb"), 3, "each takes all slots");
    bench.send(&["a"]).await;
    time::sleep(WORK / 4).await;
    let counts = (count(&begun, "a"), count(&begun, "bbbb"));
    assert_eq!(counts, (1, 3), "it begins beside what runs");
    stop.cancel();
    done.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_queue_is_drained_and_its_messages_are_acknowledged_on_it() {
    let (bench, bulk) = bench(4);
    bench.send_to(&bulk, &["b", "b"]).await;
    bench.send(&["a"]).await;
    let (begun, stop, done) = run(&bench);
    while begun.lock().unwrap().len() < 3 {
        time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    done.await.unwrap();
    for queue in [&bench.name, &bulk] {
        assert_eq!(bench.queue.depth(queue).await.unwrap(), Depth::default(), "{queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_heard_from_is_not_hidden_by_another() {
    let (bench, _) = bench(4);
    let consumer = bench.consumer(|_, _| async { Ok(Handled::Ack) });
    let health = consumer.health();
    assert_eq!(health.last_poll_age(), None);
    let stop = CancellationToken::new();
    let done = tokio::spawn(consumer.run(stop.clone()));
    time::sleep(Duration::from_secs(5)).await;
    assert!(health.last_poll_age() < Some(Duration::from_secs(3)));
    bench.queue.receive_fails.store(true, Ordering::Relaxed);
    time::sleep(Duration::from_secs(60)).await;
    assert!(health.last_poll_age() > Some(Duration::from_secs(50)));
    stop.cancel();
    done.await.unwrap();
}
