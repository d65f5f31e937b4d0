use std::time::Duration;

use flota_core::{
    PortError,
    limits::MAX_LEASE,
    ports::{Clock, Delivery, NewMessage, ReceiptHandle},
};
use jiff::SignedDuration;

use crate::{
    fresh::{Factory, Fresh},
    queue::{ack, receipts, receive, send},
    samples::{MINUTE, SECOND, message, messages, tasks_queue},
};

pub async fn every_promise(fresh: Factory) {
    an_ended_lease_shows_the_message_again(fresh()).await;
    a_heartbeat_keeps_the_message(fresh()).await;
    giving_back_shows_the_message_at_once(fresh()).await;
    an_old_receipt_neither_extends_nor_settles(fresh()).await;
    an_ended_lease_cannot_be_extended(fresh()).await;
    work_that_outlived_its_lease_still_settles(fresh()).await;
    receipts_that_are_not_ours_change_nothing(fresh()).await;
    a_receipt_never_names_a_later_message(fresh()).await;
}

/// What an adapter promises whose leases run on our own clock, which an operator may set back.
pub async fn every_promise_about_our_clock(fresh: Factory) {
    a_lease_from_the_future_has_ended(fresh()).await;
    what_was_sent_before_the_clock_went_back_is_received(fresh()).await;
}

async fn an_ended_lease_shows_the_message_again(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    for receive_count in 1..4 {
        let delivery = receive(&fresh, &queue, MINUTE).await.pop().unwrap();
        assert_eq!(delivery.receive_count, receive_count);
        fresh.advance(MINUTE - SECOND);
        assert!(receive(&fresh, &queue, MINUTE).await.is_empty());
        fresh.advance(SECOND);
    }
}

async fn a_heartbeat_keeps_the_message(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &messages(0..2)).await;
    let held = receipts(&receive(&fresh, &queue, MINUTE).await);
    for _ in 0..5 {
        fresh.advance(MINUTE / 2);
        for kept in fresh.store.queue.extend(&queue, &held, MINUTE).await.unwrap() {
            kept.unwrap();
        }
        assert!(receive(&fresh, &queue, MINUTE).await.is_empty());
    }
    ack(&fresh, &queue, &held).await;
    assert_eq!(fresh.store.queue.depth(&queue).await.unwrap(), Default::default());
}

async fn giving_back_shows_the_message_at_once(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    let first = receive(&fresh, &queue, MINUTE).await;
    fresh.store.queue.extend(&queue, &receipts(&first), Duration::ZERO).await.unwrap();
    let again = receive(&fresh, &queue, MINUTE).await;
    assert_eq!(again[0].receive_count, 2);
    assert_ne!(again[0].receipt, first[0].receipt);
    assert_eq!(again[0].sent_at, first[0].sent_at);
}

fn assert_lost(result: &Result<(), PortError>) {
    let error = result.as_ref().expect_err("a lost lease was extended");
    assert!(!error.is_transient(), "{error}");
}

async fn an_old_receipt_neither_extends_nor_settles(fresh: Fresh) {
    let (queue, port) = (tasks_queue("cat"), fresh.store.queue.clone());
    send(&fresh, &queue, &messages(0..2)).await;
    let old = receipts(&receive(&fresh, &queue, MINUTE).await);
    port.extend(&queue, &old[..1], Duration::ZERO).await.unwrap();
    let new = receipts(&receive(&fresh, &queue, MINUTE).await);
    assert_eq!(new.len(), 1);

    let extended = port.extend(&queue, &old, MINUTE).await.unwrap();
    assert_lost(&extended[0]);
    extended[1].as_ref().unwrap();
    assert!(ack(&fresh, &queue, &old).await.iter().all(Result::is_ok));
    assert_eq!(port.depth(&queue).await.unwrap().in_flight, 1, "the new delivery stays");
    port.extend(&queue, &new, MINUTE).await.unwrap().remove(0).unwrap();
    ack(&fresh, &queue, &new).await;
    assert_lost(&port.extend(&queue, &new, MINUTE).await.unwrap()[0]);
}

async fn an_ended_lease_cannot_be_extended(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    let held = receipts(&receive(&fresh, &queue, MINUTE).await);
    fresh.advance(MINUTE);
    assert_lost(&fresh.store.queue.extend(&queue, &held, MINUTE).await.unwrap()[0]);
    assert_eq!(receive(&fresh, &queue, MINUTE).await.len(), 1);
}

async fn work_that_outlived_its_lease_still_settles(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    let held = receipts(&receive(&fresh, &queue, MINUTE).await);
    fresh.advance(2 * MINUTE);
    ack(&fresh, &queue, &held).await[0].as_ref().unwrap();
    assert!(receive(&fresh, &queue, MINUTE).await.is_empty());
}

async fn receipts_that_are_not_ours_change_nothing(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    let held = receipts(&receive(&fresh, &queue, MINUTE).await);
    let foreign: Vec<ReceiptHandle> =
        ["", ".", "1", "x.y", "999999.1", "-1.1", "99999999999999999999.1"]
            .map(|text| ReceiptHandle(text.to_owned()))
            .into();
    for result in fresh.store.queue.extend(&queue, &foreign, MINUTE).await.unwrap() {
        assert_lost(&result);
    }
    assert!(ack(&fresh, &queue, &foreign).await.iter().all(Result::is_ok));
    fresh.store.queue.extend(&queue, &held, MINUTE).await.unwrap().remove(0).unwrap();
}

async fn a_lease_from_the_future_has_ended(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    let held = receipts(&receive(&fresh, &queue, MAX_LEASE).await);
    fresh.clock.set(fresh.clock.now() - SignedDuration::from_hours(24));
    assert_lost(&fresh.store.queue.extend(&queue, &held, MINUTE).await.unwrap()[0]);
    assert_eq!(fresh.store.queue.depth(&queue).await.unwrap().ready, 1);
    let waited = fresh.store.queue.receive(&queue, 1, MINUTE, MINUTE).await.unwrap();
    assert_eq!(waited[0].receive_count, 2);
}

async fn what_was_sent_before_the_clock_went_back_is_received(fresh: Fresh) {
    let queue = tasks_queue("cat");
    let delayed = NewMessage { delay: 2 * MINUTE, ..message("delayed") };
    send(&fresh, &queue, &[message("a"), message("leased"), delayed]).await;
    let first = receive(&fresh, &queue, MINUTE).await;
    assert_eq!(first.len(), 2);
    fresh.store.queue.extend(&queue, &receipts(&first[..1]), Duration::ZERO).await.unwrap();
    send(&fresh, &queue, &[message("b")]).await;
    fresh.clock.set(fresh.clock.now() - SignedDuration::from_hours(3));
    let bodies = |deliveries: &[Delivery]| {
        let mut bodies: Vec<_> = deliveries.iter().map(|delivery| delivery.body.clone()).collect();
        bodies.sort();
        bodies
    };
    // None of them was delayed, so that none waits for the clock.
    let now = receive(&fresh, &queue, 10 * MINUTE).await;
    assert_eq!(bodies(&now), [first[0].body.as_str(), "b"]);
    assert!(now.iter().all(|delivery| delivery.sent_at <= fresh.clock.now()));
    fresh.advance(MINUTE);
    let later = receive(&fresh, &queue, 10 * MINUTE).await;
    assert_eq!(bodies(&later), [first[1].body.as_str()], "the lease of who died has ended");
    fresh.advance(MINUTE);
    assert_eq!(bodies(&receive(&fresh, &queue, MINUTE).await), ["delayed"]);
}

async fn a_receipt_never_names_a_later_message(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &[message("a")]).await;
    let old = receipts(&receive(&fresh, &queue, MINUTE).await);
    ack(&fresh, &queue, &old).await;
    send(&fresh, &queue, &[message("b")]).await;
    let new = receipts(&receive(&fresh, &queue, MINUTE).await);
    ack(&fresh, &queue, &old).await;
    fresh.store.queue.extend(&queue, &new, MINUTE).await.unwrap().remove(0).unwrap();
}
