//! Two stores on one folder are two processes to SQLite: nothing is shared but the files.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use flota_core::{
    limits::MAX_POLL_WAIT,
    ports::{Accepted, Store},
};
use flota_platform::{SystemClock, embedded};

use crate::{
    fresh::{self, Fresh},
    queue::{receipts, receive, send},
    samples::{
        MINUTE, accept, accepted, failed, finish, message, messages, pack, request, tasks_queue,
    },
};

fn beside(fresh: &Fresh) -> Store {
    embedded::open(fresh.folder(), fresh.clock.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_promised_the_other_reads() {
    let one = fresh::embedded();
    let other = beside(&one);
    let now = one.now();
    let key = accepted(&*one.store.requests, 1, now).await;
    one.store.requests.record(pack(key, 0), &[failed(3, "a", now)]).await.unwrap();
    let read = other.requests.pack(pack(key, 0)).await.unwrap();
    assert_eq!(read.outcomes.len(), 1);
    assert!(other.requests.finish(&finish(key, now)).await.unwrap());
    assert!(!one.store.requests.finish(&finish(key, now)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_outlives_its_process() {
    let one = fresh::embedded();
    let queue = tasks_queue("cat");
    let key = accepted(&*one.store.requests, 1, one.now()).await;
    send(&one, &queue, &messages(0..5)).await;
    let held = receipts(&receive(&one, &queue, MINUTE).await);
    let again = one.reopen();
    assert_eq!(again.store.requests.rounds(key.request).await.unwrap().len(), 1);
    assert_eq!(again.store.queue.depth(&queue).await.unwrap().in_flight, 5);
    again.store.queue.ack(&queue, &held).await.unwrap();
    assert_eq!(again.store.queue.depth(&queue).await.unwrap().in_flight, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_wakes_for_what_another_sent() {
    let one = fresh::embedded();
    let other = beside(&one);
    let queue = tasks_queue("cat");
    let waiting = {
        let queue = queue.clone();
        tokio::spawn(async move { other.queue.receive(&queue, 1, MAX_POLL_WAIT, MINUTE).await })
    };
    tokio::task::yield_now().await;
    send(&one, &queue, &[message("a")]).await;
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_wakes_when_a_lease_ends_that_another_held() {
    let one = fresh::embedded();
    let open = || embedded::open(one.folder(), Arc::new(SystemClock)).unwrap();
    let (holding, waiting) = (open(), open());
    let queue = tasks_queue("cat");
    let lease = Duration::from_millis(20);
    holding.queue.send(&queue, &[message("a")]).await.unwrap();
    assert_eq!(holding.queue.receive(&queue, 1, MAX_POLL_WAIT, lease).await.unwrap().len(), 1);
    let again = waiting.queue.receive(&queue, 1, MAX_POLL_WAIT, lease).await.unwrap();
    assert_eq!(again[0].receive_count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_taken_twice_or_lost() {
    const MESSAGES: usize = 400;
    let one = fresh::embedded();
    let stores = [one.store.clone(), beside(&one), beside(&one)];
    let queue = tasks_queue("cat");
    let senders: Vec<_> = (0..2_u32)
        .map(|sender| {
            let (store, queue) = (stores[sender as usize].clone(), queue.clone());
            tokio::spawn(async move {
                for tens in 0..20 {
                    let first = sender * 1_000 + tens * 10;
                    store.queue.send(&queue, &messages(first..first + 10)).await.unwrap();
                }
            })
        })
        .collect();
    let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
    let receivers: Vec<_> = stores
        .iter()
        .map(|store| {
            let (store, queue, taken) = (store.clone(), queue.clone(), taken.clone());
            tokio::spawn(async move {
                while taken.lock().unwrap().len() < MESSAGES {
                    let wait = Duration::from_millis(50);
                    let some = store.queue.receive(&queue, 7, wait, MINUTE).await.unwrap();
                    store.queue.ack(&queue, &receipts(&some)).await.unwrap();
                    taken.lock().unwrap().extend(some.into_iter().map(|delivery| delivery.body));
                }
            })
        })
        .collect();
    for task in senders.into_iter().chain(receivers) {
        task.await.unwrap();
    }
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (MESSAGES, MESSAGES));
    assert_eq!(one.store.queue.depth(&queue).await.unwrap(), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_processes_agree_on_requests_and_claims() {
    let one = fresh::embedded();
    let stores = [one.store.clone(), beside(&one)];
    let now = one.now();
    let racing: Vec<_> = (0..40)
        .map(|i| {
            let store = stores[i % 2].clone();
            tokio::spawn(async move {
                let request = request(1 + i as u128 / 2, now);
                let is_new = store.requests.accept(&accept(&request, now)).await.unwrap();
                let claimed = store.requests.claim_overdue(now, now + MINUTE, 3).await.unwrap();
                (is_new == Accepted::New, claimed)
            })
        })
        .collect();
    let (mut new_count, mut claimed) = (0, Vec::new());
    for task in racing {
        let (is_new, rounds) = task.await.unwrap();
        new_count += usize::from(is_new);
        claimed.extend(rounds.into_iter().map(|round| round.key));
    }
    let distinct: BTreeSet<_> = claimed.iter().collect();
    assert_eq!((new_count, claimed.len()), (20, distinct.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_later_program_is_refused_with_a_sentence() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("records.sqlite");
    let later = rusqlite::Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    drop(later);
    let clock = Arc::new(flota_memory::ManualClock::new(1));
    let Err(refusal) = embedded::open(folder.path(), clock.clone()) else {
        panic!("the file was opened");
    };
    let text = refusal.to_string();
    assert!(text.contains("records.sqlite has version 99"), "{text}");

    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let Err(refusal) = embedded::open(folder.path(), clock.clone()) else {
        panic!("the file was opened");
    };
    assert!(refusal.to_string().contains("records.sqlite"), "{refusal}");
    let Err(refusal) = embedded::open(&path, clock) else { panic!("a file is no folder") };
    assert!(refusal.to_string().contains("data folder"), "{refusal}");
}
