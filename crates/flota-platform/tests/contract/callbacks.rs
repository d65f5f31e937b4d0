use std::{collections::BTreeSet, time::Duration};

use flota_core::{Callback, CallbackAttempt, CallbackId, CallbackState, RoundKey};
use jiff::Timestamp;

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND, accepted, callback, finish},
};

pub async fn every_promise(fresh: Factory) {
    a_due_callback_is_claimed_until_then(fresh()).await;
    claims_are_bounded_and_the_longest_due_come_first(fresh()).await;
    racing_notifiers_never_share_a_callback(fresh()).await;
    attempts_are_logged_and_decide_what_is_next(fresh()).await;
    what_is_given_back_is_due_when_it_is_wanted(fresh()).await;
    what_is_not_claimed_any_more_is_not_given_back(fresh()).await;
    giving_back_never_undoes_what_a_race_decided(fresh()).await;
    a_redelivery_replaces_the_pending_try(fresh()).await;
    a_delivered_callback_can_be_redelivered(fresh()).await;
    a_callback_that_is_not_there(fresh()).await;
}

async fn made(fresh: &Fresh, id: u128) -> (RoundKey, CallbackId) {
    let key = accepted(&*fresh.store.requests, id, fresh.now()).await;
    fresh.store.requests.finish(&finish(key, fresh.now())).await.unwrap();
    (key, CallbackId { request: key.request, round: key.round })
}

async fn read(fresh: &Fresh, id: CallbackId) -> Callback {
    fresh.store.callbacks.of_request(id.request).await.unwrap().remove(0)
}

fn attempt(at: Timestamp, status: Option<u16>) -> CallbackAttempt {
    let error = status.is_none().then(|| "no route to the receiver".to_owned());
    CallbackAttempt { at, status, error, duration_ms: 12 }
}

async fn a_due_callback_is_claimed_until_then(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let (key, _) = made(&fresh, 1).await;
    let until = now + MINUTE;
    assert!(callbacks.claim_due(now - SECOND, until, 9).await.unwrap().is_empty(), "not due yet");
    let claimed = callbacks.claim_due(now, until, 9).await.unwrap();
    assert_eq!(claimed, [Callback { due_at: Some(until), ..callback(key, now) }]);
    assert!(callbacks.claim_due(now, until, 9).await.unwrap().is_empty(), "claimed");
    let again = callbacks.claim_due(until, until + MINUTE, 9).await.unwrap();
    assert_eq!(again.len(), 1, "the notifier died");
}

async fn claims_are_bounded_and_the_longest_due_come_first(fresh: Fresh) {
    let callbacks = &fresh.store.callbacks;
    let mut ids = Vec::new();
    for id in 1..=5 {
        ids.push(made(&fresh, 6 - id).await.1);
        fresh.advance(SECOND);
    }
    let until = fresh.now() + MINUTE;
    let first = callbacks.claim_due(fresh.now(), until, 2).await.unwrap();
    assert_eq!(first.iter().map(|callback| callback.id).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(callbacks.claim_due(fresh.now(), until, usize::MAX).await.unwrap().len(), 3);
}

async fn racing_notifiers_never_share_a_callback(fresh: Fresh) {
    for id in 1..=30 {
        made(&fresh, id).await;
    }
    let now = fresh.now();
    let notifiers: Vec<_> = (0..4)
        .map(|_| {
            let callbacks = fresh.store.callbacks.clone();
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                loop {
                    let some = callbacks.claim_due(now, now + MINUTE, 4).await.unwrap();
                    if some.is_empty() {
                        return claimed;
                    }
                    claimed.extend(some.into_iter().map(|callback| callback.id));
                    assert!(claimed.len() <= 30, "a callback was claimed twice");
                }
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for notifier in notifiers {
        claimed.extend(notifier.await.unwrap());
    }
    let count = claimed.len();
    let distinct: BTreeSet<_> = claimed.into_iter().collect();
    assert_eq!((count, distinct.len()), (30, 30));
}

async fn attempts_are_logged_and_decide_what_is_next(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let (key, id) = made(&fresh, 1).await;
    let (until, retry_at) = (now + MINUTE, now + 5 * MINUTE);
    callbacks.claim_due(now, until, 1).await.unwrap();
    let pending = (CallbackState::Pending, Some(retry_at));
    callbacks.attempted(id, until, &attempt(now, None), pending).await.unwrap();
    assert!(callbacks.claim_due(retry_at - SECOND, retry_at, 1).await.unwrap().is_empty());

    let until = retry_at + MINUTE;
    assert_eq!(callbacks.claim_due(retry_at, until, 1).await.unwrap().len(), 1);
    assert_eq!(callbacks.pending_count().await.unwrap(), 1);
    let delivered = (CallbackState::Delivered, None);
    callbacks.attempted(id, until, &attempt(retry_at, Some(204)), delivered).await.unwrap();
    assert_eq!(callbacks.pending_count().await.unwrap(), 0);
    let expected = Callback {
        state: CallbackState::Delivered,
        due_at: None,
        attempts: vec![attempt(now, None), attempt(retry_at, Some(204))],
        ..callback(key, now)
    };
    assert_eq!(read(&fresh, id).await, expected);
    assert!(callbacks.claim_due(until, until, 1).await.unwrap().is_empty());
}

async fn what_is_given_back_is_due_when_it_is_wanted(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let (key, id) = made(&fresh, 1).await;
    for wait in [Duration::ZERO, 5 * SECOND, 5 * MINUTE] {
        let at = read(&fresh, id).await.due_at.unwrap();
        let (claim, due_at) = (at + MINUTE, at + wait);
        assert_eq!(callbacks.claim_due(at, claim, 1).await.unwrap().len(), 1);
        callbacks.release(id, claim, due_at).await.unwrap();
        let expected = Callback { due_at: Some(due_at), ..callback(key, now) };
        assert_eq!(read(&fresh, id).await, expected);
        assert!(callbacks.claim_due(due_at - SECOND, claim, 1).await.unwrap().is_empty());
    }
}

/// A notifier holds a callback past its claim; meanwhile another one takes it and ends it.
async fn what_is_not_claimed_any_more_is_not_given_back(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let (_, id) = made(&fresh, 1).await;
    let stale = now + MINUTE;
    callbacks.claim_due(now, stale, 1).await.unwrap();
    let claim = stale + MINUTE;
    assert_eq!(callbacks.claim_due(stale, claim, 1).await.unwrap().len(), 1);
    callbacks.release(id, stale, now).await.unwrap();
    assert_eq!(read(&fresh, id).await.due_at, Some(claim), "it is the other one's");

    for state in [CallbackState::Delivered, CallbackState::Disabled, CallbackState::Failed] {
        let claim = read(&fresh, id).await.due_at.unwrap();
        callbacks.attempted(id, claim, &attempt(now, Some(410)), (state, None)).await.unwrap();
        for held in [stale, claim] {
            callbacks.release(id, held, now).await.unwrap();
            let callback = read(&fresh, id).await;
            assert_eq!((callback.state, callback.due_at), (state, None), "it has ended");
        }
        let asked_at = claim + SECOND;
        callbacks.redeliver(id, asked_at).await.unwrap();
        callbacks.release(id, claim, stale).await.unwrap();
        assert_eq!(read(&fresh, id).await.due_at, Some(asked_at), "it was redelivered by hand");
    }
}

async fn giving_back_never_undoes_what_a_race_decided(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let claim = now + MINUTE;
    for n in 1..=20 {
        let (_, id) = made(&fresh, n).await;
        callbacks.claim_due(now, claim, 1).await.unwrap();
        let holder = callbacks.clone();
        let held = tokio::spawn(async move {
            for _ in 0..5 {
                holder.release(id, claim, claim + MINUTE).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (other, log) = (callbacks.clone(), attempt(now, Some(204)));
        let tried = tokio::spawn(async move {
            other.attempted(id, claim, &log, (CallbackState::Delivered, None)).await.unwrap();
        });
        held.await.unwrap();
        tried.await.unwrap();
        let callback = read(&fresh, id).await;
        let is_delivered = (CallbackState::Delivered, None);
        let is_released = (CallbackState::Pending, Some(claim + MINUTE));
        let decided = (callback.state, callback.due_at);
        assert!(decided == is_delivered || decided == is_released, "{decided:?}");
        callbacks.release(id, claim, now).await.unwrap();
        assert_eq!(read(&fresh, id).await.due_at, decided.1, "the loser changes nothing");
    }
}

async fn a_redelivery_replaces_the_pending_try(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let (_, id) = made(&fresh, 1).await;
    let until = now + MINUTE;
    callbacks.claim_due(now, until, 1).await.unwrap();
    let asked_at = now + SECOND;
    assert!(callbacks.redeliver(id, asked_at).await.unwrap());
    let failed = (CallbackState::Failed, None);
    callbacks.attempted(id, until, &attempt(now, Some(500)), failed).await.unwrap();
    let callback = read(&fresh, id).await;
    assert_eq!(callback.attempts.len(), 1, "the attempt is logged all the same");
    assert_eq!((callback.state, callback.due_at), (CallbackState::Pending, Some(asked_at)));
    assert_eq!(callbacks.claim_due(asked_at, until, 1).await.unwrap().len(), 1);
}

async fn a_delivered_callback_can_be_redelivered(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let (_, id) = made(&fresh, 1).await;
    callbacks.claim_due(now, now + MINUTE, 1).await.unwrap();
    for state in [CallbackState::Delivered, CallbackState::Failed, CallbackState::Disabled] {
        let claim = read(&fresh, id).await.due_at.unwrap();
        callbacks.attempted(id, claim, &attempt(now, Some(410)), (state, None)).await.unwrap();
        assert_eq!(read(&fresh, id).await.state, state);
        assert!(callbacks.redeliver(id, now).await.unwrap());
        let callback = read(&fresh, id).await;
        assert_eq!((callback.state, callback.due_at), (CallbackState::Pending, Some(now)));
    }
    assert_eq!(read(&fresh, id).await.attempts.len(), 3, "the log stays");
}

async fn a_callback_that_is_not_there(fresh: Fresh) {
    let (callbacks, now) = (&fresh.store.callbacks, fresh.now());
    let key = accepted(&*fresh.store.requests, 1, now).await;
    let id = CallbackId { request: key.request, round: 1 };
    assert!(!callbacks.redeliver(id, now).await.unwrap());
    callbacks.release(id, now, now).await.unwrap();
    assert!(callbacks.of_request(key.request).await.unwrap().is_empty());
    let next = (CallbackState::Delivered, None);
    let error = callbacks.attempted(id, now, &attempt(now, None), next).await.unwrap_err();
    assert!(!error.is_transient());
}
