//! What the loop tells of its polls.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_loop_tells_before_when_all_was_received() {
    let bench = Bench::with_capacity(1);
    let begin = bench.clock.now();
    for _ in 0..3 {
        bench.send(&["a"]).await;
        time::advance(Duration::from_secs(60)).await;
    }
    let consumer = bench.consumer(|_, _| async {
        time::sleep(Duration::from_secs(10)).await;
        Ok(Handled::Ack)
    });
    let health = consumer.health();
    assert_eq!(health.drained_to(), None, "it has not polled yet");
    let stop = CancellationToken::new();
    let done = tokio::spawn(consumer.run(stop.clone()));
    let minutes = |count: u64| begin + Duration::from_secs(60 * count);
    time::sleep(Duration::from_secs(15)).await;
    assert_eq!(health.drained_to(), Some(begin), "the oldest message of two polls");
    assert_eq!(health.drained_to(), Some(begin), "no poll says more");
    time::sleep(Duration::from_secs(10)).await;
    assert_eq!(health.drained_to(), Some(minutes(2)));
    time::sleep(Duration::from_secs(10)).await;
    let empty = health.drained_to();
    assert!(empty > Some(minutes(3)), "the queue is empty: {empty:?}");
    stop.cancel();
    done.await.unwrap();
}
