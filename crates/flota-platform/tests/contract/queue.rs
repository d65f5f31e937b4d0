use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use flota_core::{
    ModelName, PortResult, QueueName, RequestId, RoundKey,
    limits::{MAX_LEASE, MAX_MESSAGE_BYTES, MAX_MESSAGE_DELAY, MAX_POLL_WAIT, MAX_QUEUE_BATCH},
    ports::{Backlog, Delivery, Depth, NewMessage, ReceiptHandle},
};

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND, message, messages, pack, tasks_queue},
};

pub async fn every_promise(fresh: Factory) {
    what_was_sent_is_received_and_settled(fresh()).await;
    a_receive_takes_no_more_than_asked(fresh()).await;
    queues_do_not_mix(fresh()).await;
    a_delayed_message_waits(fresh()).await;
    each_entry_has_its_own_answer(fresh()).await;
    calls_are_bounded(fresh()).await;
    receivers_never_share_a_message(fresh()).await;
    a_waiting_receive_wakes(fresh()).await;
    depth_tells_where_messages_are(fresh()).await;
    bodies_survive_as_they_are(fresh()).await;
    a_backlog_is_counted_in_tasks(fresh()).await;
    a_message_is_found_by_its_pack(fresh()).await;
}

pub async fn send(fresh: &Fresh, queue: &QueueName, messages: &[NewMessage]) {
    for result in fresh.store.queue.send(queue, messages).await.unwrap() {
        result.unwrap();
    }
}

/// Whatever can be received at once.
pub async fn receive(fresh: &Fresh, queue: &QueueName, lease: Duration) -> Vec<Delivery> {
    fresh.store.queue.receive(queue, MAX_QUEUE_BATCH, Duration::ZERO, lease).await.unwrap()
}

pub async fn ack(
    fresh: &Fresh,
    queue: &QueueName,
    receipts: &[ReceiptHandle],
) -> Vec<PortResult<()>> {
    fresh.store.queue.ack(queue, receipts).await.unwrap()
}

pub fn receipts(deliveries: &[Delivery]) -> Vec<ReceiptHandle> {
    deliveries.iter().map(|delivery| delivery.receipt.clone()).collect()
}

fn bodies(deliveries: &[Delivery]) -> BTreeSet<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
}

async fn what_was_sent_is_received_and_settled(fresh: Fresh) {
    let queue = tasks_queue("cat");
    assert!(receive(&fresh, &queue, MINUTE).await.is_empty(), "a queue that nobody made is empty");
    let sent_at = fresh.now();
    send(&fresh, &queue, &messages(0..3)).await;
    fresh.advance(SECOND);

    let deliveries = receive(&fresh, &queue, MINUTE).await;
    assert_eq!(bodies(&deliveries), ["0", "1", "2"].into());
    for delivery in &deliveries {
        assert_eq!((delivery.receive_count, delivery.sent_at), (1, sent_at));
    }
    assert!(receive(&fresh, &queue, MINUTE).await.is_empty(), "leased messages are hidden");

    for _ in 0..2 {
        let acknowledged = ack(&fresh, &queue, &receipts(&deliveries)).await;
        assert!(
            acknowledged.len() == 3 && acknowledged.iter().all(Result::is_ok),
            "{acknowledged:?}"
        );
    }
    fresh.advance(2 * MINUTE);
    assert!(receive(&fresh, &queue, MINUTE).await.is_empty(), "acknowledged messages are gone");
}

async fn a_receive_takes_no_more_than_asked(fresh: Fresh) {
    let queue = tasks_queue("cat");
    send(&fresh, &queue, &messages(0..5)).await;
    let port = &fresh.store.queue;
    let two = port.receive(&queue, 2, Duration::ZERO, MINUTE).await.unwrap();
    let rest = port.receive(&queue, 1_000, Duration::ZERO, MINUTE).await.unwrap();
    assert_eq!((two.len(), rest.len()), (2, 3));
}

async fn queues_do_not_mix(fresh: Fresh) {
    let (cats, dogs) = (tasks_queue("cat"), tasks_queue("dog"));
    send(&fresh, &cats, &[message("cat")]).await;
    assert!(receive(&fresh, &dogs, MINUTE).await.is_empty());
    let delivery = receive(&fresh, &cats, MINUTE).await;
    ack(&fresh, &dogs, &receipts(&delivery)).await;
    let extended = fresh.store.queue.extend(&dogs, &receipts(&delivery), MINUTE).await.unwrap();
    assert!(extended[0].is_err(), "a receipt holds on its own queue alone");
    fresh.advance(2 * MINUTE);
    assert_eq!(receive(&fresh, &cats, MINUTE).await.len(), 1);
}

async fn a_delayed_message_waits(fresh: Fresh) {
    let queue = tasks_queue("cat");
    let delayed = NewMessage { delay: MAX_MESSAGE_DELAY, ..message("later") };
    send(&fresh, &queue, &[delayed, message("now")]).await;
    assert_eq!(bodies(&receive(&fresh, &queue, MINUTE).await), ["now"].into());
    fresh.advance(MAX_MESSAGE_DELAY);
    let deliveries = receive(&fresh, &queue, MINUTE).await;
    let later = deliveries.iter().find(|delivery| delivery.body == "later").unwrap();
    assert_eq!(later.receive_count, 1, "a delay is no receive");
}

async fn each_entry_has_its_own_answer(fresh: Fresh) {
    let queue = tasks_queue("cat");
    let sent = [
        message("first"),
        message(&"x".repeat(MAX_MESSAGE_BYTES + 1)),
        NewMessage { delay: MAX_MESSAGE_DELAY + SECOND, ..message("too late") },
        message(&"y".repeat(MAX_MESSAGE_BYTES)),
    ];
    let results = fresh.store.queue.send(&queue, &sent).await.unwrap();
    let are_ok: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(are_ok, [true, false, false, true]);
    assert!(results.iter().flat_map(|r| r.as_ref().err()).all(|error| !error.is_transient()));
    assert_eq!(receive(&fresh, &queue, MINUTE).await.len(), 2);
}

async fn calls_are_bounded(fresh: Fresh) {
    let (queue, port) = (tasks_queue("cat"), &fresh.store.queue);
    let eleven = vec![ReceiptHandle("1.1".to_owned()); MAX_QUEUE_BATCH + 1];
    assert!(!port.send(&queue, &messages(0..11)).await.unwrap_err().is_transient());
    assert!(!port.extend(&queue, &eleven, MINUTE).await.unwrap_err().is_transient());
    assert!(!port.ack(&queue, &eleven).await.unwrap_err().is_transient());
    let long = MAX_LEASE + SECOND;
    assert!(port.receive(&queue, 1, Duration::ZERO, long).await.is_err());
    assert!(port.extend(&queue, &eleven[..1], long).await.is_err());

    assert!(port.send(&queue, &[]).await.unwrap().is_empty());
    assert!(port.extend(&queue, &[], MINUTE).await.unwrap().is_empty());
    assert!(port.ack(&queue, &[]).await.unwrap().is_empty());
}

async fn receivers_never_share_a_message(fresh: Fresh) {
    let queue = tasks_queue("cat");
    for tens in 0..10 {
        send(&fresh, &queue, &messages(tens * 10..tens * 10 + 10)).await;
    }
    let receivers = (0..4).map(|_| {
        let (port, queue) = (fresh.store.queue.clone(), queue.clone());
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let some = port.receive(&queue, 7, Duration::ZERO, MINUTE).await.unwrap();
                if some.is_empty() {
                    return taken;
                }
                taken.extend(some);
                assert!(taken.len() <= 100, "a message was received twice");
            }
        })
    });
    let mut taken = Vec::new();
    for receiver in receivers.collect::<Vec<_>>() {
        taken.extend(receiver.await.unwrap());
    }
    assert_eq!((taken.len(), bodies(&taken).len()), (100, 100));
}

async fn a_waiting_receive_wakes(fresh: Fresh) {
    let queue = tasks_queue("cat");
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (port, queue) = (fresh.store.queue.clone(), queue.clone());
            tokio::spawn(async move { port.receive(&queue, 1, MAX_POLL_WAIT, MINUTE).await })
        })
        .collect();
    tokio::task::yield_now().await;
    send(&fresh, &queue, &messages(0..2)).await;
    for receive in waiting {
        assert_eq!(receive.await.unwrap().unwrap().len(), 1);
    }
}

async fn depth_tells_where_messages_are(fresh: Fresh) {
    let (queue, port) = (tasks_queue("cat"), &fresh.store.queue);
    assert_eq!(port.depth(&queue).await.unwrap(), Depth::default());
    send(&fresh, &queue, &messages(0..4)).await;
    send(&fresh, &queue, &[NewMessage { delay: MINUTE, ..message("later") }]).await;
    port.receive(&queue, 1, Duration::ZERO, MINUTE).await.unwrap();
    let depth = port.depth(&queue).await.unwrap();
    assert_eq!(depth, Depth { ready: 3, in_flight: 1, delayed: 1 });
    fresh.advance(2 * MINUTE);
    let depth = port.depth(&queue).await.unwrap();
    assert_eq!(depth, Depth { ready: 5, in_flight: 0, delayed: 0 });
}

async fn bodies_survive_as_they_are(fresh: Fresh) {
    let queue = tasks_queue("cat");
    let odd = ["{\"a\": \"\\u0000\"}", "ü 🐈 \t\r\n", "'; DROP TABLE messages; --", "<&>"];
    send(&fresh, &queue, &odd.map(message)).await;
    assert_eq!(bodies(&receive(&fresh, &queue, MINUTE).await), odd.into());
}

async fn a_backlog_is_counted_in_tasks(fresh: Fresh) {
    let queue = tasks_queue("cat");
    let (cat, dog): (ModelName, ModelName) = ("cat".parse().unwrap(), "dog".parse().unwrap());
    let backlog = async || {
        let depth = fresh.store.queue.depth(&queue).await.unwrap();
        fresh.store.queue.backlog(&queue, depth).await.unwrap()
    };
    let carrying = |counts: &[(&ModelName, u32)]| NewMessage {
        tasks: counts.iter().map(|(model, count)| ((*model).clone(), *count)).collect(),
        ..message("tasks")
    };
    let before = backlog().await;
    if before.as_ref().is_none_or(|backlog| !backlog.is_exact) {
        assert!(fresh.store.queue.dlq(&queue).is_some(), "only SQS counts messages alone");
        return;
    }
    assert_eq!(before, Some(Backlog { is_exact: true, ..Backlog::default() }));
    send(&fresh, &queue, &[carrying(&[(&cat, 20)]), carrying(&[(&cat, 3), (&dog, 4)])]).await;
    let later = NewMessage { delay: MINUTE, ..carrying(&[(&dog, 1)]) };
    send(&fresh, &queue, &[later, message("no tasks")]).await;
    let full = backlog().await.unwrap();
    assert_eq!(full.tasks, BTreeMap::from([(cat.clone(), 23), (dog.clone(), 5)]));
    assert!(full.oldest_sent_at.is_some());
    let delivery = receive(&fresh, &queue, MINUTE).await;
    assert_eq!(backlog().await.unwrap().tasks, full.tasks, "leased and delayed tasks count");
    ack(&fresh, &queue, &receipts(&delivery)).await;
    ack(&fresh, &queue, &receipts(&delivery)).await;
    let left = backlog().await.unwrap();
    assert_eq!(left.tasks, BTreeMap::from([(dog, 1)]));
}

async fn a_message_is_found_by_its_pack(fresh: Fresh) {
    let (cats, dogs) = (tasks_queue("cat"), tasks_queue("dog"));
    let round = RoundKey { request: RequestId(uuid::Uuid::from_u128(1)), round: 1 };
    let packs = [0, 1, 2].map(|n| pack(round, n));
    let held = async || fresh.store.queue.holds(&packs).await.unwrap();
    if held().await.is_none() {
        assert!(fresh.store.queue.dlq(&cats).is_some(), "only SQS cannot tell");
        return;
    }
    let about = |n: usize| NewMessage { pack: Some(packs[n]), ..message("a pack") };
    send(&fresh, &cats, &[about(0), message("another")]).await;
    send(&fresh, &dogs, &[NewMessage { delay: MINUTE, ..about(2) }]).await;
    assert_eq!(held().await, Some(vec![true, false, true]));
    let delivery = receive(&fresh, &cats, MINUTE).await;
    assert_eq!(held().await, Some(vec![true, false, true]), "a leased message is there");
    ack(&fresh, &cats, &receipts(&delivery)).await;
    assert_eq!(held().await, Some(vec![false, false, true]));
}
