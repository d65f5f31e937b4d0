use aws_sdk_dynamodb::types::AttributeValue;
use flota_core::{
    CallbackAttempt, CallbackState, DeadLetter, PortError, Reason, RoundKey,
    ports::{Accepted, DeadLetterFilter},
};
use jiff::Timestamp;

use crate::{
    account::Account,
    samples::{MINUTE, SECOND, accept, accepted, callback, dead_task, finish, key, request},
};

async fn account() -> Account {
    Account::new(&[("aws.create_missing", "true")]).await
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

#[tokio::test]
async fn a_table_that_is_not_there_is_said_with_what_makes_it() {
    let store = Account::new(&[]).await.open().await;
    let error = store.predictions.get(&[key("a", "1")]).await.unwrap_err();
    assert!(matches!(error, PortError::Permanent { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("flota-predictions") && text.contains("flota provision"), "{text}");
    let error = store.models.list(now()).await.unwrap_err();
    assert!(error.to_string().contains("flota provision"), "{error}");
}

/// The server died between the two writes that accept a request.
#[tokio::test]
async fn a_request_is_kept_once_its_first_round_is() {
    let account = account().await;
    let (store, now) = (account.open().await, now());
    let request = request(1, now);
    let accept = accept(&request, now);
    assert_eq!(store.requests.accept(&accept).await.unwrap(), Accepted::New);
    account
        .clients
        .dynamodb
        .delete_item()
        .table_name("flota-requests")
        .key("request_id", AttributeValue::S(request.id.to_string()))
        .key("item_key", AttributeValue::S("round#0000000001".to_owned()))
        .send()
        .await
        .unwrap();
    assert_eq!(store.requests.request(request.id).await.unwrap(), None);
    assert_eq!(store.requests.accept(&accept).await.unwrap(), Accepted::New);
    assert_eq!(store.requests.request(request.id).await.unwrap(), Some(request));
}

/// DynamoDB deletes each item by itself.
#[tokio::test]
async fn all_of_a_request_that_is_replayed_stays_as_long_as_its_new_round() {
    let account =
        Account::new(&[("aws.create_missing", "true"), ("aws.retain_requests_days", "10")]).await;
    let store = account.open().await;
    let submitted_at = uuid::Timestamp::from_unix(uuid::NoContext, 1_800_000_000, 0);
    let id = uuid::Uuid::new_v7(submitted_at).as_u128();
    let first = accepted(&*store.requests, id, now()).await;
    store.requests.finish(&finish(first, now())).await.unwrap();
    let later = Timestamp::from_second(1_900_000_000).unwrap();
    let second = RoundKey { round: 2, ..first };
    assert!(store.requests.open_round(second, &[0].into(), later, later).await.unwrap());
    let scan = account.clients.dynamodb.scan().table_name("flota-requests").send().await.unwrap();
    let expiries: Vec<_> = scan.items().iter().map(|item| item["expires_at"].clone()).collect();
    let expiry = AttributeValue::N((1_900_000_000 + 10 * 86_400).to_string());
    assert_eq!(expiries, vec![expiry; 3], "the request and two rounds");
}

#[tokio::test]
async fn the_last_attempts_of_a_callback_are_kept() {
    let (store, now) = (account().await.open().await, now());
    let round = accepted(&*store.requests, 1, now).await;
    store.requests.finish(&finish(round, now)).await.unwrap();
    let id = callback(round, now).id;
    for n in 0..60 {
        let error = Some("no answer".to_owned());
        let attempt = CallbackAttempt { at: now + SECOND * n, status: None, error, duration_ms: 1 };
        let next = (CallbackState::Pending, Some(now));
        store.callbacks.attempted(id, now, &attempt, next).await.unwrap();
    }
    let attempts = store.callbacks.of_request(round.request).await.unwrap().remove(0).attempts;
    let times: Vec<_> = attempts.iter().map(|attempt| attempt.at).collect();
    assert_eq!(times, (10..60).map(|n| now + SECOND * n).collect::<Vec<_>>());
}

/// More than stand in one page.
#[tokio::test]
async fn a_long_list_is_read_in_order() {
    let (store, now) = (account().await.open().await, now());
    let letter = |n| dead_task(n, Reason::AttemptsExhausted, now + SECOND * (n / 3));
    let letters: Vec<DeadLetter> = (0..250).map(letter).collect();
    for some in letters.chunks(50) {
        let puts = some.iter().map(|letter| store.dead_letters.put(letter));
        futures::future::try_join_all(puts).await.unwrap();
    }
    let mut filter = DeadLetterFilter { limit: 40, ..DeadLetterFilter::default() };
    filter.selection.model = Some("cat".parse().unwrap());
    let mut found = Vec::new();
    loop {
        let page = store.dead_letters.list(&filter).await.unwrap();
        found.extend(page.letters);
        assert!(found.len() <= letters.len(), "the pages do not end");
        let Some(next) = page.next_after else { break };
        filter.after = Some(next);
    }
    let mut expected: Vec<_> = letters
        .into_iter()
        .filter(|letter| letter.model() == filter.selection.model.as_ref())
        .collect();
    expected.sort_by_key(|letter| (letter.created_at, letter.id.clone()));
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
}

/// More early ones than one look has room for stand before the one that is due.
#[tokio::test]
async fn rounds_that_are_due_later_hide_none_that_is_due() {
    let (store, now) = (account().await.open().await, now());
    let requests = &store.requests;
    let late = now + 9 * MINUTE;
    for some in (1..=300_u128).collect::<Vec<_>>().chunks(50) {
        let accepting = some.iter().map(|id| async {
            let round = accepted(&**requests, *id, now - MINUTE).await;
            requests.set_due(round, late).await.unwrap();
        });
        futures::future::join_all(accepting).await;
    }
    let due: RoundKey = accepted(&**requests, 301, now - MINUTE).await;
    let claimed = requests.claim_overdue(now, late, 1).await.unwrap();
    assert_eq!(claimed.iter().map(|round| round.key).collect::<Vec<_>>(), [due]);
    assert_eq!(requests.claim_overdue(late, late + MINUTE, 400).await.unwrap().len(), 301);
}
