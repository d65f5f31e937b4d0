use std::{num::NonZero, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use flota_core::{Code, Fault};
use tokio::{net::TcpListener, sync::Semaphore};

use super::fleet::{Color, Fleet, HELD, endings, pack, png, wanted};

const GREY: [u8; 3] = [9, 9, 9];

/// Serves an image of `color` once for each permit of `answers`, and tells `asked` before.
async fn serve(color: Color, asked: &Arc<Semaphore>, answers: &Arc<Semaphore>) -> String {
    let (asked, answers) = (asked.clone(), answers.clone());
    let answer = get(move || async move {
        asked.add_permits(1);
        answers.acquire().await.unwrap().forget();
        png(color)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/image", listener.local_addr().unwrap());
    let router = Router::new().route("/image", answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn what_a_lost_lease_left_running_keeps_isolated_tasks_waiting() {
    let mut fleet = Fleet::new("1", 1);
    fleet.settings.queue.lease = Duration::from_millis(60);
    fleet.settings.queue.max_lease = Duration::from_millis(120);
    // On a machine that stalls, a lease this short is lost more than once.
    fleet.settings.worker.attempts = NonZero::new(100);
    let (asked, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(100)));
    let message = pack(1, &[&serve(HELD, &asked, &answers).await]);
    fleet.send(&message).await;
    let worker = fleet.start();
    // The lease reaches its cap while the first run is held, and the message comes again.
    asked.acquire_many(2).await.unwrap().forget();
    let task = message.source.task(0);
    let requests = fleet.platform.requests.clone();
    assert_eq!(fleet.batches(), [[HELD]]);
    assert_eq!(requests.attempts(task, 1).await.unwrap(), 0);

    fleet.let_all_go();
    assert_eq!(endings(&fleet.outcomes(1).await), wanted(&[(0, "succeeded")]));
    assert!(fleet.batches().len() > 1, "what was done under the lost lease was reported");
    assert!(requests.attempts(task, 1).await.unwrap() > 0);
    fleet.stop.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_has_begun_and_sends_the_rest_again() {
    let mut fleet = Fleet::new("1", 1);
    fleet.settings.worker.fetch_concurrency = 1;
    let (asked, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = serve(GREY, &asked, &answers).await;
    let mut message = pack(1, &[&slow, "http://127.0.0.1:1024/never"]);
    message.tasks[1].tries = 1;
    let at = fleet.platform.clock.now();
    message.tasks[1].faults = vec![Fault::new(at, Code::FetchTimeout, "no answer")];
    fleet.send(&message).await;
    let worker = fleet.start();
    asked.acquire().await.unwrap().forget();
    fleet.stop.cancel();
    answers.add_permits(1);
    worker.await.unwrap();

    assert_eq!(endings(&fleet.outcomes(1).await), wanted(&[(0, "succeeded")]));
    let left = fleet.receive_once().await;
    let [rest] = left.as_slice() else { panic!("one message is left, not {}", left.len()) };
    assert_eq!(rest.tasks, message.tasks[1..]);
    assert_eq!((rest.source, rest.pack), (message.source, message.pack));
}
