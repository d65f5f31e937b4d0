use flota_core::{
    ClientName, Counts, Pack, PackRecord, Resend, Round, RoundKey, Sha256, TaskId, TaskSource,
    ports::{Accept, Accepted, IdempotencyKey},
};

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, accept, accepted, failed, pack, request, succeeded},
};

pub async fn every_promise(fresh: Factory) {
    an_accepted_request_reads_back_with_its_first_round(fresh()).await;
    a_known_key_answers_the_same_or_conflicts(fresh()).await;
    the_same_key_at_once_is_kept_once(fresh()).await;
    accepting_a_request_twice_keeps_it_once(fresh()).await;
    the_first_outcome_stays(fresh()).await;
    racing_outcomes_are_set_once(fresh()).await;
    the_last_copy_is_noted(fresh()).await;
    packs_are_read_by_round(fresh()).await;
    outcomes_are_read_by_task(fresh()).await;
    outcomes_are_counted_as_they_come(fresh()).await;
    a_pack_counts_once(fresh()).await;
    attempts_are_counted_by_task_and_round(fresh()).await;
}

fn by_key(accept: Accept, client: &str, key: &str, submitted: &str) -> Accept {
    let idempotency = Some(IdempotencyKey {
        client: client.parse::<ClientName>().unwrap(),
        key: key.to_owned(),
        fingerprint: Sha256::of(submitted.as_bytes()),
    });
    Accept { idempotency, ..accept }
}

async fn an_accepted_request_reads_back_with_its_first_round(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let request = request(1, now);
    assert_eq!(requests.request(request.id).await.unwrap(), None);
    assert!(requests.rounds(request.id).await.unwrap().is_empty());
    let due_at = now + MINUTE;
    assert_eq!(requests.accept(&accept(&request, due_at)).await.unwrap(), Accepted::New);
    assert_eq!(requests.request(request.id).await.unwrap().as_ref(), Some(&request));
    assert_eq!(requests.rounds(request.id).await.unwrap(), [Round::first(&request, due_at)]);
}

async fn a_known_key_answers_the_same_or_conflicts(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let accept = |id| accept(&request(id, now), now);
    let first = requests.accept(&by_key(accept(1), "a", "key", "body")).await.unwrap();
    let same = requests.accept(&by_key(accept(2), "a", "key", "body")).await.unwrap();
    let conflict = requests.accept(&by_key(accept(3), "a", "key", "other")).await.unwrap();
    let other_client = requests.accept(&by_key(accept(4), "b", "key", "other")).await.unwrap();
    let other_key = requests.accept(&by_key(accept(5), "a", "Key", "body")).await.unwrap();
    assert_eq!(first, Accepted::New);
    assert_eq!(same, Accepted::Same(request(1, now).id));
    assert_eq!(conflict, Accepted::Conflict);
    assert_eq!((other_client, other_key), (Accepted::New, Accepted::New));
    for (id, is_kept) in [(1, true), (2, false), (3, false), (4, true), (5, true)] {
        let kept = requests.request(request(id, now).id).await.unwrap();
        assert_eq!(kept.is_some(), is_kept, "request {id}");
        assert_eq!(!requests.rounds(request(id, now).id).await.unwrap().is_empty(), is_kept);
    }
}

async fn the_same_key_at_once_is_kept_once(fresh: Fresh) {
    let now = fresh.now();
    let racing: Vec<_> = (1..=8)
        .map(|id| {
            let requests = fresh.store.requests.clone();
            let accept = by_key(accept(&request(id, now), now), "a", "key", "body");
            tokio::spawn(async move { requests.accept(&accept).await.unwrap() })
        })
        .collect();
    let mut kept = Vec::new();
    for accepted in racing {
        kept.push(accepted.await.unwrap());
    }
    assert_eq!(kept.iter().filter(|accepted| **accepted == Accepted::New).count(), 1, "{kept:?}");
    let mut same: Vec<_> = kept.iter().filter(|accepted| **accepted != Accepted::New).collect();
    same.dedup();
    assert!(matches!(same[..], [Accepted::Same(_)]), "{kept:?}");
}

async fn accepting_a_request_twice_keeps_it_once(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let request = request(1, now);
    let (once, again) = (accept(&request, now), accept(&request, now + MINUTE));
    assert_eq!(requests.accept(&once).await.unwrap(), Accepted::New);
    assert_eq!(requests.accept(&again).await.unwrap(), Accepted::Same(request.id));
    assert_eq!(requests.rounds(request.id).await.unwrap(), [Round::first(&request, now)]);
}

async fn the_first_outcome_stays(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = pack(accepted(&**requests, 1, now).await, 0);
    assert_eq!(requests.pack(key).await.unwrap(), PackRecord::default());

    let first = requests.record(key, &[succeeded(0, now), failed(1, "first", now)]).await.unwrap();
    assert_eq!(first.set, [0, 1]);
    let late = now + MINUTE;
    let outcomes = [failed(1, "late", late), failed(2, "new", late), failed(2, "twice", late)];
    let second = requests.record(key, &outcomes).await.unwrap();
    assert_eq!(second.set, [2]);

    let mut expected = PackRecord::default();
    expected.set_absent(&[succeeded(0, now), failed(1, "first", now), failed(2, "new", late)]);
    assert_eq!(second.pack, expected);
    assert_eq!(requests.pack(key).await.unwrap(), expected);
    let nothing = requests.record(key, &[]).await.unwrap();
    assert_eq!((nothing.pack, nothing.set), (expected, vec![]));
}

async fn the_last_copy_is_noted(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let round = accepted(&**requests, 1, now).await;
    let key = pack(round, 0);
    let resend = |copy, sent_at| Resend { copy, sent_at };
    requests.set_resent(key, resend(1, now)).await.unwrap();
    let copied = PackRecord { resent: Some(resend(1, now)), ..PackRecord::default() };
    assert_eq!(requests.pack(key).await.unwrap(), copied);
    let recorded = requests.record(key, &[succeeded(0, now)]).await.unwrap();
    assert_eq!(recorded.pack.resent, copied.resent);
    requests.set_resent(key, resend(3, now + MINUTE)).await.unwrap();
    requests.set_resent(key, resend(2, now + 2 * MINUTE)).await.unwrap();
    let [(0, latest)] = &requests.packs(round).await.unwrap()[..] else { panic!("one pack") };
    assert_eq!(latest.resent, Some(resend(3, now + MINUTE)));
    assert_eq!(latest.outcomes.len(), 1);
}

async fn racing_outcomes_are_set_once(fresh: Fresh) {
    let now = fresh.now();
    let key = pack(accepted(&*fresh.store.requests, 1, now).await, 0);
    let racing: Vec<_> = (0..8)
        .map(|i| {
            let requests = fresh.store.requests.clone();
            let outcomes: Vec<_> = (0..20).map(|n| failed(n, &format!("by {i}"), now)).collect();
            tokio::spawn(async move { requests.record(key, &outcomes).await.unwrap().set })
        })
        .collect();
    let mut set = Vec::new();
    for recorded in racing {
        set.extend(recorded.await.unwrap());
    }
    set.sort_unstable();
    assert_eq!(set, (0..20).collect::<Vec<_>>());
}

async fn packs_are_read_by_round(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let (one, other) = (accepted(&**requests, 1, now).await, accepted(&**requests, 2, now).await);
    requests.record(pack(one, 0), &[failed(3, "a", now)]).await.unwrap();
    requests.record(pack(one, 1), &[failed(21, "b", now), failed(20, "c", now)]).await.unwrap();
    requests.record(pack(other, 0), &[failed(0, "d", now)]).await.unwrap();
    let packs = requests.packs(one).await.unwrap();
    let numbers: Vec<(u32, Vec<u32>)> = packs
        .iter()
        .map(|(index, pack)| (*index, pack.outcomes.keys().copied().collect()))
        .collect();
    assert_eq!(numbers, [(0, vec![3]), (1, vec![20, 21])]);
    assert_eq!(packs[1].1, requests.pack(pack(one, 1)).await.unwrap());
}

fn of_pack(index: u32, tasks: &[u32]) -> Pack {
    Pack { index, worker: "cat".parse().unwrap(), tasks: tasks.to_vec() }
}

async fn outcomes_are_read_by_task(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let (one, other) = (accepted(&**requests, 1, now).await, accepted(&**requests, 2, now).await);
    let kept = [failed(3, "a", now), failed(7, "b", now), succeeded(9, now), failed(25, "c", now)];
    requests.record(pack(one, 0), &kept[..3]).await.unwrap();
    requests.record(pack(one, 1), &kept[3..]).await.unwrap();
    requests.record(pack(other, 0), &[failed(3, "d", now)]).await.unwrap();
    for (packs, wanted) in [
        (vec![of_pack(0, &[3, 4, 9])], vec![0, 2]),
        (vec![of_pack(1, &[24, 25]), of_pack(0, &[7])], vec![1, 3]),
        (vec![of_pack(1, &[20])], vec![]),
        (vec![of_pack(2, &[40])], vec![]),
        (vec![], vec![]),
    ] {
        let read = requests.outcomes(one, &packs).await.unwrap();
        let wanted: Vec<_> = wanted.into_iter().map(|place: usize| kept[place].clone()).collect();
        assert_eq!(read, wanted, "{packs:?}");
    }
    let second = RoundKey { round: 2, ..one };
    assert_eq!(requests.outcomes(second, &[of_pack(0, &[3])]).await.unwrap(), []);
}

async fn outcomes_are_counted_as_they_come(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = accepted(&**requests, 1, now).await;
    let packs = request(1, now).packs();
    let counts = async || requests.counts(key, &packs).await.unwrap();
    assert_eq!(counts().await, Counts::all_open(30));
    requests.record(pack(key, 1), &[failed(20, "a", now), succeeded(21, now)]).await.unwrap();
    let some = Counts { total: 30, open: 28, succeeded: 1, failed: 1, ..Counts::default() };
    assert_eq!(counts().await, some);
    let first: Vec<_> = (0..20).map(|n| succeeded(n, now)).collect();
    let recorded = requests.record(pack(key, 0), &first).await.unwrap();
    let more = Counts { open: 8, succeeded: 21, ..some };
    assert_eq!(counts().await, more, "before the pack is marked complete");
    let ended = recorded.pack.counts(&packs[0]);
    requests.complete_pack(pack(key, 0), ended).await.unwrap();
    assert_eq!(counts().await, more, "and after");
    let rest: Vec<_> = (22..30).map(|n| failed(n, "b", now)).collect();
    let recorded = requests.record(pack(key, 1), &rest).await.unwrap();
    requests.complete_pack(pack(key, 1), recorded.pack.counts(&packs[1])).await.unwrap();
    let all = Counts { total: 30, succeeded: 21, failed: 9, ..Counts::default() };
    assert_eq!(counts().await, all);
}

/// A recorder that dies repeats its steps, and one of an earlier version does not say how a pack's tasks ended.
async fn a_pack_counts_once(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    for (id, says) in [(1, true), (2, false)] {
        let key = accepted(&**requests, id, now).await;
        let packs = request(id, now).packs();
        let outcomes: Vec<_> = (0..20).map(|n| succeeded(n, now)).collect();
        let recorded = requests.record(pack(key, 0), &outcomes).await.unwrap();
        let ended = recorded.pack.counts(&packs[0]);
        for ended in [if says { ended } else { Counts::default() }, ended, ended] {
            let round = requests.complete_pack(pack(key, 0), ended).await.unwrap();
            assert_eq!(round.complete.len(), 1);
            let wanted = Counts { total: 30, open: 10, succeeded: 20, ..Counts::default() };
            assert_eq!(requests.counts(key, &packs).await.unwrap(), wanted);
        }
    }
}

async fn attempts_are_counted_by_task_and_round(fresh: Fresh) {
    let requests = &fresh.store.requests;
    let task = TaskSource::Request(request(1, fresh.now()).id).task(4);
    assert_eq!(requests.attempts(task, 1).await.unwrap(), 0);
    for count in 1..4 {
        assert_eq!(requests.count_attempt(task, 1).await.unwrap(), count);
    }
    assert_eq!(requests.count_attempt(task, 2).await.unwrap(), 1);
    assert_eq!(requests.attempts(task, 1).await.unwrap(), 3);
    assert_eq!(requests.attempts(TaskId { n: 5, ..task }, 1).await.unwrap(), 0);
}
