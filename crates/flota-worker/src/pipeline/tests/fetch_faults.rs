//! Faults of an image's host: they last by time, are no attempts, and wait on the queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header::RETRY_AFTER},
    response::IntoResponse,
    routing::get,
};
use flota_core::{Code, Fault, FetchRetries, Reason};

use super::fleet::{Fleet, endings, pack, png, serve, wanted};

const GREY: [u8; 3] = [9, 9, 9];

/// A server that answers 503 to its first requests, so many, and then the image. What it counts.
async fn heals_after(count: u32) -> (String, Arc<AtomicU32>) {
    let requests = Arc::new(AtomicU32::new(0));
    let counted = requests.clone();
    let answer = get(move || async move {
        match counted.fetch_add(1, Ordering::SeqCst) {
            n if n < count => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => png(GREY).into_response(),
        }
    });
    (format!("{}/image", serve(Router::new().route("/image", answer)).await), requests)
}

#[tokio::test]
async fn faults_of_the_host_are_no_attempts_and_never_too_many() {
    let mut fleet = Fleet::new("1", 1);
    fleet.manifest.attempts = 1;
    let (url, requests) = heals_after(4).await;
    fleet.start();
    fleet.send(&pack(1, &[&url])).await;
    let outcomes = fleet.outcomes(1).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "succeeded")]));
    assert_eq!(outcomes[0].outcomes[0].outcome.attempts, 1);
    assert_eq!(requests.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn once_the_time_is_up_the_last_real_code_is_kept() {
    let fleet = Fleet::new("1", 1);
    let (url, requests) = heals_after(u32::MAX).await;
    let mut message = pack(1, &[&url]);
    let since = fleet.platform.clock.now() - fleet.settings.fetch.retry_for;
    let task = &mut message.tasks[0];
    task.fetch_retries = Some(FetchRetries { since, count: 40 });
    task.faults = vec![Fault::new(since, Code::FetchTimeout, "no answer")];
    fleet.start();
    fleet.send(&message).await;
    let outcomes = fleet.outcomes(1).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "FETCH_FAILED")]));
    assert_eq!(requests.load(Ordering::SeqCst), 1, "a last try is made");
    let [letter] = outcomes[0].dead_letters.as_slice() else { panic!("no dead letter") };
    assert_eq!((letter.reason, letter.attempts), (Reason::AttemptsExhausted, 41));
    assert!(letter.message.contains("503"), "{}", letter.message);
    let codes: Vec<Code> = letter.history.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [Code::FetchTimeout, Code::FetchFailed]);
}

#[tokio::test]
async fn what_the_host_asks_for_is_waited_for_on_the_queue() {
    let fleet = Fleet::new("1", 1);
    let busy = get(|| async { (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "600")]) });
    let web = serve(Router::new().route("/image", busy)).await;
    let grey = fleet.upload(GREY).await;
    fleet.send(&pack(1, &[&format!("{web}/image"), &grey])).await;
    let worker = fleet.start();
    assert_eq!(endings(&fleet.outcomes(1).await), wanted(&[(1, "succeeded")]));
    fleet.stop.cancel();
    worker.await.unwrap();
    let depth = fleet.platform.queue.depth(&fleet.tasks_queue()).await.unwrap();
    assert_eq!((depth.delayed, depth.ready, depth.in_flight), (1, 0, 0), "a slot was held");
}

/// The length of the outage is the point: it is real time, for inference runs on threads.
#[tokio::test]
async fn a_host_that_goes_away_for_a_while_fails_nothing_and_is_asked_little() {
    const IMAGES: usize = 400;
    let mut fleet = Fleet::new("1", 4);
    fleet.settings.fetch.breaker_open = Duration::from_millis(100);
    fleet.settings.worker.retry_cap = Duration::from_millis(20);
    let (is_away, refused) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let (away, counted) = (is_away.clone(), refused.clone());
    let answer = get(move || async move {
        if away.load(Ordering::SeqCst) {
            counted.fetch_add(1, Ordering::SeqCst);
            return StatusCode::BAD_GATEWAY.into_response();
        }
        png(GREY).into_response()
    });
    let web = serve(Router::new().route("/{n}", answer)).await;
    let fleet = fleet.reopened();
    let urls: Vec<String> = (0..IMAGES).map(|n| format!("{web}/{n}")).collect();
    for (n, urls) in urls.chunks(20).enumerate() {
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        fleet.send(&pack(n as u128, &urls)).await;
    }
    fleet.start();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    is_away.store(false, Ordering::SeqCst);
    let outcomes = fleet.outcomes(IMAGES).await;
    let failed = endings(&outcomes).into_iter().filter(|(_, how)| how.starts_with("FETCH")).count();
    assert_eq!(failed, 0);
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused < 40, "{refused} requests to a host that is away");
}
