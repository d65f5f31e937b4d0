use std::collections::BTreeSet;

use flota_core::{
    Counts, Round, RoundKey,
    ports::{Finish, Requests},
};

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND, accepted, callback, finish, finished, pack, request},
};

pub async fn every_promise(fresh: Factory) {
    a_pack_is_complete_once(fresh()).await;
    a_round_finishes_exactly_once(fresh()).await;
    racing_finishes_agree(fresh()).await;
    a_round_without_a_callback_makes_none(fresh()).await;
    a_replay_follows_a_finished_round(fresh()).await;
    racing_replays_open_one_round(fresh()).await;
    an_overdue_round_is_claimed_once(fresh()).await;
    a_round_that_is_due_later_is_not_claimed_before(fresh()).await;
    claims_are_bounded_and_the_longest_due_come_first(fresh()).await;
    racing_sweepers_never_share_a_round(fresh()).await;
    only_open_rounds_become_due(fresh()).await;
    a_round_that_is_not_there_is_an_error(fresh()).await;
}

/// What an adapter promises whose due times lie on one machine, whose clock an operator may set back.
pub async fn every_promise_about_our_clock(fresh: Factory) {
    what_is_due_moves_with_a_clock_that_went_back(fresh()).await;
}

async fn what_is_due_moves_with_a_clock_that_went_back(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let open = accepted(&**requests, 1, now).await;
    let done = accepted(&**requests, 2, now).await;
    assert!(requests.claim_overdue(now, now, 9).await.unwrap().is_empty());
    requests.finish(&finish(done, now)).await.unwrap();
    let back = now - jiff::SignedDuration::from_hours(3);
    assert!(
        requests.claim_overdue(back, back, 9).await.unwrap().is_empty(),
        "the minute still runs"
    );
    let claimed = fresh.store.callbacks.claim_due(back, back + MINUTE, 9).await.unwrap();
    assert_eq!(claimed.len(), 1, "the callback was due at once");
    let overdue = requests.claim_overdue(back + MINUTE, back + 2 * MINUTE, 9).await.unwrap();
    assert_eq!(overdue.iter().map(|round| round.key).collect::<Vec<_>>(), [open]);
}

async fn round(requests: &dyn Requests, key: RoundKey) -> Round {
    let rounds = requests.rounds(key.request).await.unwrap();
    rounds.into_iter().find(|round| round.key == key).unwrap()
}

async fn a_pack_is_complete_once(fresh: Fresh) {
    let requests = &fresh.store.requests;
    let key = accepted(&**requests, 1, fresh.now()).await;
    requests.complete_pack(pack(key, 1), Counts::default()).await.unwrap();
    requests.complete_pack(pack(key, 0), Counts::default()).await.unwrap();
    let read_back = requests.complete_pack(pack(key, 1), Counts::default()).await.unwrap();
    assert_eq!(read_back.complete, BTreeSet::from([0, 1]));
    assert_eq!(read_back, round(&**requests, key).await);
    assert!(read_back.is_complete(&request(1, fresh.now())));
}

async fn a_round_finishes_exactly_once(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = accepted(&**requests, 1, now).await;
    assert!(requests.finish(&finish(key, now)).await.unwrap());
    assert!(!requests.finish(&finish(key, now + MINUTE)).await.unwrap());
    let finished = round(&**requests, key).await;
    assert_eq!((finished.finished_at, finished.due_at), (Some(now), None));
    let callbacks = fresh.store.callbacks.of_request(key.request).await.unwrap();
    assert_eq!(callbacks, [callback(key, now)]);
}

async fn racing_finishes_agree(fresh: Fresh) {
    let now = fresh.now();
    let key = accepted(&*fresh.store.requests, 1, now).await;
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let requests = fresh.store.requests.clone();
            tokio::spawn(async move { requests.finish(&finish(key, now)).await.unwrap() })
        })
        .collect();
    let mut first_count = 0;
    for finish in racing {
        first_count += u32::from(finish.await.unwrap());
    }
    assert_eq!(first_count, 1);
}

async fn a_round_without_a_callback_makes_none(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = accepted(&**requests, 1, now).await;
    assert!(requests.finish(&Finish { key, at: now, callback: None }).await.unwrap());
    assert!(fresh.store.callbacks.of_request(key.request).await.unwrap().is_empty());
}

async fn a_replay_follows_a_finished_round(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let first = accepted(&**requests, 1, now).await;
    let second = RoundKey { round: 2, ..first };
    let tasks = BTreeSet::from([3, 21]);
    let (later, due_at) = (now + SECOND, now + MINUTE);
    let open = |key| requests.open_round(key, &tasks, later, due_at);
    assert!(!open(second).await.unwrap(), "the first round is open");
    requests.finish(&finish(first, now)).await.unwrap();
    assert!(!open(RoundKey { round: 3, ..first }).await.unwrap(), "round 2 is missing");
    assert!(!open(first).await.unwrap(), "it is there already");
    assert!(open(second).await.unwrap());
    assert!(!open(second).await.unwrap(), "it was opened before");
    assert!(!open(RoundKey { round: 3, ..first }).await.unwrap(), "round 2 is open");

    let rounds = requests.rounds(first.request).await.unwrap();
    let expected = Round {
        key: second,
        replayed: Some(tasks.clone()),
        complete: BTreeSet::new(),
        due_at: Some(due_at),
        opened_at: later,
        finished_at: None,
    };
    assert_eq!((rounds.len(), &rounds[1]), (2, &expected));
    assert!(finished(&rounds[0]));
    requests.complete_pack(pack(second, 0), Counts::default()).await.unwrap();
    assert!(round(&**requests, first).await.complete.is_empty(), "rounds do not mix");

    assert!(requests.finish(&finish(second, later)).await.unwrap());
    let callbacks = fresh.store.callbacks.of_request(first.request).await.unwrap();
    assert_eq!(callbacks, [callback(first, now), callback(second, later)]);
}

async fn racing_replays_open_one_round(fresh: Fresh) {
    let now = fresh.now();
    let first = accepted(&*fresh.store.requests, 1, now).await;
    fresh.store.requests.finish(&finish(first, now)).await.unwrap();
    let racing: Vec<_> = (0..8)
        .map(|n| {
            let requests = fresh.store.requests.clone();
            let key = RoundKey { round: 2, ..first };
            let tasks = BTreeSet::from([n]);
            tokio::spawn(async move { requests.open_round(key, &tasks, now, now).await.unwrap() })
        })
        .collect();
    let mut opened_count = 0;
    for open in racing {
        opened_count += u32::from(open.await.unwrap());
    }
    assert_eq!(opened_count, 1);
}

async fn an_overdue_round_is_claimed_once(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = accepted(&**requests, 1, now).await;
    let (due_at, next) = (now + MINUTE, now + 2 * MINUTE);
    assert!(requests.claim_overdue(now, next, 10).await.unwrap().is_empty(), "not due yet");
    let claimed = requests.claim_overdue(due_at, next, 10).await.unwrap();
    assert_eq!(claimed, [round(&**requests, key).await]);
    assert_eq!(claimed[0].due_at, Some(next));
    assert!(requests.claim_overdue(due_at, next, 10).await.unwrap().is_empty(), "claimed");
    assert_eq!(requests.claim_overdue(next, next + MINUTE, 10).await.unwrap().len(), 1);
    requests.finish(&finish(key, now)).await.unwrap();
    let late = now + 100 * MINUTE;
    assert!(requests.claim_overdue(late, late, 10).await.unwrap().is_empty(), "finished");
}

async fn a_round_that_is_due_later_is_not_claimed_before(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let (late, soon) = (accepted(&**requests, 1, now).await, accepted(&**requests, 2, now).await);
    let (due_at, next) = (now + 3 * MINUTE, now + 9 * MINUTE);
    requests.set_due(late, due_at).await.unwrap();
    for _ in 0..2 {
        let claimed = requests.claim_overdue(due_at - SECOND, next, 1).await.unwrap();
        assert!(claimed.iter().all(|round| round.key == soon), "{claimed:?}");
    }
    assert_eq!(round(&**requests, late).await.due_at, Some(due_at));
    assert_eq!(round(&**requests, soon).await.due_at, Some(next));
    let claimed = requests.claim_overdue(due_at, next, 10).await.unwrap();
    assert_eq!(claimed.iter().map(|round| round.key).collect::<Vec<_>>(), [late]);
}

async fn claims_are_bounded_and_the_longest_due_come_first(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let mut keys = Vec::new();
    for id in 1..=5 {
        let key = accepted(&**requests, id, now).await;
        requests.set_due(key, now + MINUTE - SECOND * u32::try_from(id).unwrap()).await.unwrap();
        keys.push(key);
    }
    let claimed = requests.claim_overdue(now + MINUTE, now + 9 * MINUTE, 2).await.unwrap();
    let claimed: Vec<_> = claimed.iter().map(|round| round.key).collect();
    assert_eq!(claimed, [keys[4], keys[3]]);
    let rest = requests.claim_overdue(now + MINUTE, now + 9 * MINUTE, usize::MAX).await.unwrap();
    assert_eq!(rest.len(), 3);
}

async fn racing_sweepers_never_share_a_round(fresh: Fresh) {
    let now = fresh.now();
    for id in 1..=30 {
        accepted(&*fresh.store.requests, id, now).await;
    }
    let sweepers: Vec<_> = (0..4)
        .map(|_| {
            let requests = fresh.store.requests.clone();
            let (due, next) = (now + MINUTE, now + 9 * MINUTE);
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                loop {
                    let some = requests.claim_overdue(due, next, 4).await.unwrap();
                    if some.is_empty() {
                        return claimed;
                    }
                    claimed.extend(some.into_iter().map(|round| round.key));
                    assert!(claimed.len() <= 30, "a round was claimed twice");
                }
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for sweeper in sweepers {
        claimed.extend(sweeper.await.unwrap());
    }
    let count = claimed.len();
    let distinct: BTreeSet<_> = claimed.into_iter().collect();
    assert_eq!((count, distinct.len()), (30, 30));
}

async fn only_open_rounds_become_due(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = accepted(&**requests, 1, now).await;
    requests.set_due(key, now + SECOND).await.unwrap();
    assert_eq!(round(&**requests, key).await.due_at, Some(now + SECOND));
    requests.finish(&finish(key, now)).await.unwrap();
    requests.set_due(key, now).await.unwrap();
    assert_eq!(round(&**requests, key).await.due_at, None);
}

async fn a_round_that_is_not_there_is_an_error(fresh: Fresh) {
    let (requests, now) = (&fresh.store.requests, fresh.now());
    let key = RoundKey { request: request(1, now).id, round: 1 };
    assert!(
        !requests.complete_pack(pack(key, 0), Counts::default()).await.unwrap_err().is_transient()
    );
    assert!(!requests.finish(&finish(key, now)).await.unwrap_err().is_transient());
    assert!(!requests.set_due(key, now).await.unwrap_err().is_transient());
    assert!(!requests.open_round(key, &BTreeSet::new(), now, now).await.unwrap());
    let callbacks = fresh.store.callbacks.of_request(key.request).await.unwrap();
    assert!(callbacks.is_empty(), "a failed finish leaves nothing behind");
}
